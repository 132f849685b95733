// Sums along rays from which the derivatives of their integrals in the geometry are made.
#pragma once

#include <cstddef>
#include <cstdint>

namespace joseph {

// In step i along its axis, the rows where `by_rows`, a ray crosses the image at position
// intercept + slope * i (in pixels) of the other axis. Arrays are (angles, detectors).
struct Lines {
    const double* intercept;
    const double* slope;
    const std::uint8_t* by_rows;
    std::size_t angles, detectors;
};

// With k = floor(position) and f = position - k in step i, out (3, angles, detectors) is the sum
// over i of u[i, k+1] - u[i, k], of i times that, and of (1 - f) u[i, k] + f u[i, k+1], where the
// image (ny, nx) is zero outside. T is float or double.
template <typename T>
void moments(const T* image, std::size_t ny, std::size_t nx, const Lines& lines, double* out,
             unsigned threads);

}  // namespace joseph
