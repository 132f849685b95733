// What of the pixel-driven backprojection is compiled once per instruction set; see
// ray2d/kernels.hpp.
#pragma once

#include <cstddef>

namespace joseph {

inline constexpr std::ptrdiff_t kPixelMargin = 80;  // zeros on either side of the line of a view
inline constexpr std::ptrdiff_t kPixelRound = 64;   // rows of pixels are filled up to multiples

enum class PixelKind : int { kParallel, kFlat, kArc };

// Where the pixels (x, y) of an image meet a detector, with n = n0 x + n1 y + n2 and d alike:
//   parallel: n + offset,               weight scale,
//   flat:     n/d + offset,             weight scale/d²,
//   arc:      rate atan2(n, d) + offset, weight scale/(n² + d²).
struct PixelView {
    double n[3], d[3];
    double scale, offset;
};

// Rows of pixels: row j has its first pixel at (x, y + j dy), and `count` of them at a distance dx.
struct PixelTile {
    PixelKind kind;
    double x, y, dx, dy;
    double rate;
    std::ptrdiff_t rows, count;
    std::ptrdiff_t stride;  // of scratch rows: count rounded up to kPixelRound
};

template <typename T>
struct PixelKernels {
    // totals[j stride + k] += what pixel k of row j finds in a line of `detectors` numbers.
    void (*gather)(const PixelTile& tile, const PixelView& view, std::ptrdiff_t detectors,
                   const T* line, T* totals);
    // The transpose: adds to the line, its margins too. values[j stride + k].
    void (*scatter)(const PixelTile& tile, const PixelView& view, std::ptrdiff_t detectors,
                    T* line, const T* values);
};

namespace portable {
template <typename T>
const PixelKernels<T>& pixel_kernels();
}
namespace avx2 {
template <typename T>
const PixelKernels<T>& pixel_kernels();
}
namespace avx512 {
template <typename T>
const PixelKernels<T>& pixel_kernels();
}

}  // namespace joseph
