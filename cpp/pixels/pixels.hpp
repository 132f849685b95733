// The pixel-driven backprojection of images, and its transpose.
#pragma once

#include <cstddef>

#include "pixels/kernels.hpp"

namespace joseph {

struct PixelScan {
    const PixelView* views;
    PixelKind kind;
    std::size_t angles;
    std::ptrdiff_t detectors, ny, nx;
    double dy, dx, rate;
};

// image (batch, ny, nx) = what every pixel finds in data (batch, angles, detectors).
template <typename T>
void gather_pixels(const T* data, T* image, std::size_t batch, const PixelScan& scan,
                   unsigned threads);

// The transpose; the data are overwritten.
template <typename T>
void scatter_pixels(const T* image, T* data, std::size_t batch, const PixelScan& scan,
                    unsigned threads);

}  // namespace joseph
