// Copies between images as PyTorch stores them and the framed sheets that the kernels read.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ray2d/kernels.hpp"
#include "ray2d/views.hpp"

namespace joseph {

constexpr std::ptrdiff_t kCopyTile = 16;

// Writes rows [first, last) of one sheet, each with the frame behind it.
template <typename T>
void fill_sheet(const T* image, Axis axis, Sheets size, std::ptrdiff_t first, std::ptrdiff_t last,
                T* pixels) {
    for (std::ptrdiff_t row = first; row < last; ++row) {
        std::fill_n(pixels + row * size.stride + size.columns, kFrame, T(0));
    }
    if (axis == kRows) {
        for (std::ptrdiff_t row = first; row < last; ++row) {
            std::copy_n(image + row * size.columns, size.columns, pixels + row * size.stride);
        }
        return;
    }
    for (std::ptrdiff_t column = 0; column < size.columns; column += kCopyTile) {
        const std::ptrdiff_t stop = std::min(column + kCopyTile, size.columns);
        for (std::ptrdiff_t row = first; row < last; ++row) {
            const T* from = image + row;
            T* to = pixels + row * size.stride;
            for (std::ptrdiff_t c = column; c < stop; ++c) to[c] = from[c * size.rows];
        }
    }
}

}  // namespace joseph
