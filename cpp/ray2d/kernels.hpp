// What is compiled once per instruction set. Only plain pointers cross this border, and kernels.cpp
// includes no header with inline functions of external linkage: the linker would keep one copy of
// each, and it might be the one that needs AVX-512.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "whole.hpp"

namespace joseph {

constexpr ptrdiff_t kFrame = 64;     // zeros between two rows of an image, or of data
constexpr ptrdiff_t kTileRows = 8;   // rows of the image that the adjoint holds in registers
constexpr int kMostImages = 4;       // of a batch, that share the weights of a ray
// Columns between parallel rays from which on all of them may only graze a pixel.
constexpr double kCoarsePitch = 1.75;

// Images with their rows along the axis that rays walk, framed by kFrame zeros on either side; two
// rows share one. Pointers point to pixel (0, 0) of the first image.
struct Sheets {
    ptrdiff_t rows, columns;
    ptrdiff_t stride;        // from one row to the next
    ptrdiff_t image_stride;  // from one image to the next
};

// The rays [begin, end) of one angle that walk along the same axis. In row i ray d is at
//     parallel: intercept + step d + slope i,        fan: intercepts[d] + slopes[d] i,
// in columns; `weight` is its length per row, in mm.
struct View {
    ptrdiff_t angle, begin, end;
    bool fan;
    bool regular;  // monotone along the detector; the fast kernels need it
    double intercept, step, slope, weight;
    const double* intercepts;
    const double* slopes;
    double run, rise;  // mm per row and per column
    // Source, and first detector pixel and step from pixel to pixel as seen from it, as (column, row).
    double source[2], first[2], pitch[2];
};

// A number as a whole number of 1 / 2^kFraction columns; slopes are finer where words are short.
template <typename T>
struct Bits;
template <>
struct Bits<float> : Whole<float> {
    static constexpr int kFraction = 23, kSlope = 30;
    static constexpr uint32_t kOne = 0x3f800000u;
};
template <>
struct Bits<double> : Whole<double> {
    static constexpr int kFraction = 52, kSlope = 52;
    static constexpr uint64_t kOne = 0x3ff0000000000000u;
};

// The rays of a view as whole numbers (see fixed.hpp), framed like rows of data. Of a fan: where they
// are in the middle row of the image, and by how much they move from row to row. Of coarse parallel
// rays: step d for each ray d and, instead of slopes, intercept + slope i for each row i.
template <typename T>
struct Rays {
    const typename Bits<T>::Unsigned* place;
    const typename Bits<T>::Unsigned* slope;
    ptrdiff_t middle;
};

// One view, prepared for the adjoint: opaque, of Kernels::track_bytes.
template <typename T>
struct Track;

// Where the adjoint of a strip of rows goes: pixel (row, column) is at row_step row + column_step
// column.
template <typename T>
struct Target {
    T* first;
    ptrdiff_t image_stride, row_step, column_step;
    bool add;
};

// Rows [first, last) of an image; those of a block of rows are summed before they are added to the
// rest, so that a sum does not depend on how many blocks are walked at once.
struct Span {
    ptrdiff_t first, last, block;
};

// Where the integrals of a view go: ray 0 of the first image.
template <typename T>
struct Integrals {
    T* first;
    ptrdiff_t image_stride;
    bool add;
};

template <typename T>
struct Kernels {
    // Whole numbers of start + step n for n in [0, count), and of up to kFrame more.
    void (*fix)(double start, double step, ptrdiff_t count, typename Bits<T>::Unsigned* words);

    // The integrals of one view over some rows of `images` images.
    void (*project)(const T* pixels, Sheets size, int images, const View& view, const Rays<T>& rays,
                    Span rows, Integrals<T> out);

    size_t track_bytes;
    // `data` are those of the view times the weights, framed like rows of sheets: `data` points to
    // ray 0 of the first image. Returns how the view is treated, those alike should stand together;
    // -1 if only `scatter` can do it.
    int (*prepare)(const View& view, Sheets size, const T* data, ptrdiff_t data_image_stride,
                   const Rays<T>& rays, Track<T>* track);
    // Rows [first, first + kTileRows) of `images` images, the sum over all tracks; `offset` leads
    // from the data of the first image to those of the first of these.
    void (*gather)(const Track<T>* tracks, ptrdiff_t count, Sheets size, int images,
                   ptrdiff_t offset, ptrdiff_t first, Target<T> target);
    // Adds one view to rows [first, last) of one image; any geometry.
    void (*scatter)(const View& view, const Rays<T>& rays, Sheets size, const T* data,
                    ptrdiff_t first, ptrdiff_t last, Target<T> target);
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
