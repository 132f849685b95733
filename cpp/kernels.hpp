// What is compiled once per instruction set. Only plain pointers cross this border, and kernels.cpp
// includes no header with inline functions of external linkage: the linker would keep one copy of
// each, and it might be the one that needs AVX-512.
#pragma once

#include <cstddef>

namespace joseph {

// An image whose rows lie along the axis that rays walk, framed with zeros in every row.
// `stride` counts pixels from one row to the next; pointers point to pixel (0, 0).
struct Sheet {
    std::ptrdiff_t rows, columns, stride;
};

// Consecutive rays that walk along the rows of the same sheet.
struct Rays {
    const double* intercept;
    const double* slope;
    const double* weight;
    std::ptrdiff_t count;
};

inline constexpr std::ptrdiff_t kBlock = 8;         // rows whose positions share one base
inline constexpr std::ptrdiff_t kFrame = kBlock + 2;  // zeros on either side of a row
inline constexpr std::ptrdiff_t kSlack = 32;         // pixels behind the last row that may be read
inline constexpr std::ptrdiff_t kTile = 16;         // rows of a tile of the batched kernels
inline constexpr std::ptrdiff_t kLaneFrame = 2;     // zeros on either side, batched kernels

template <typename T>
struct Kernels {
    // out[ray] = line integral of one image.
    void (*project)(const T* sheet, Sheet size, Rays rays, T* out);
    // Adds data[ray] times the two weights of every tap of rows [first, first + rows) to `pairs`:
    // (rows, stride) pairs (weight of this pixel, weight of the next); rows <= kBlock.
    void (*backproject)(T* pairs, Sheet size, std::ptrdiff_t first, std::ptrdiff_t rows, Rays rays,
                        const T* data);
    // The same for 8 or 16 images at once, innermost in memory: sheet (rows, stride, lanes). The
    // first `valid` lanes are written to out[lane * lane_stride + ray].
    void (*project_lanes[2])(const T* sheet, Sheet size, Rays rays, T* out,
                             std::ptrdiff_t lane_stride, std::ptrdiff_t valid);
    // Adds to a tile (rows, stride, lanes) that begins in row `first`; data (ray, lanes) are
    // already times the weight; rows <= kTile.
    void (*backproject_lanes[2])(T* tile, Sheet size, std::ptrdiff_t first, std::ptrdiff_t rows,
                                 Rays rays, const T* data);
};

namespace portable {
template <typename T>
const Kernels<T>& kernels();
}
namespace avx2 {
template <typename T>
const Kernels<T>& kernels();
}
namespace avx512 {
template <typename T>
const Kernels<T>& kernels();
}

}  // namespace joseph
