// Copies between images as PyTorch stores them and the framed sheets that the kernels read.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels.hpp"
#include "plan.hpp"

namespace joseph {

// `valid` images out of a batch, as lanes of one block; missing lanes are zero.
template <typename T>
struct Stack {
    T* first;
    std::ptrdiff_t stride;  // from one image to the next
    std::ptrdiff_t lanes, valid;
};

constexpr std::ptrdiff_t kCopyTile = 16;

// out[p * out_step + lane] = in[lane][p * in_step], for p < count.
template <typename T>
void interleave(Stack<const T> in, std::ptrdiff_t in_step, std::ptrdiff_t count, T* out,
                std::ptrdiff_t out_step) {
    for (std::ptrdiff_t start = 0; start < count; start += kCopyTile) {
        const std::ptrdiff_t stop = std::min(start + kCopyTile, count);
        for (std::ptrdiff_t lane = 0; lane < in.lanes; ++lane) {
            const T* source = in.first + (lane < in.valid ? lane * in.stride : 0);
            const bool exists = lane < in.valid;
            for (std::ptrdiff_t p = start; p < stop; ++p) {
                out[p * out_step + lane] = exists ? source[p * in_step] : T(0);
            }
        }
    }
}

// Writes rows [first, last) of the sheet of `axis` with their frames.
template <typename T>
void fill_sheet(Stack<const T> images, Axis axis, Sheet size, std::ptrdiff_t frame,
                std::ptrdiff_t first, std::ptrdiff_t last, T* sheet) {
    const std::ptrdiff_t lanes = images.lanes, step = size.stride * lanes;
    for (std::ptrdiff_t row = first; row < last; ++row) {
        std::fill_n(sheet + row * step - frame * lanes, frame * lanes, T(0));
        std::fill_n(sheet + row * step + size.columns * lanes, frame * lanes, T(0));
    }
    if (axis == kRows) {
        for (std::ptrdiff_t row = first; row < last; ++row) {
            Stack<const T> source = images;
            source.first += row * size.columns;
            interleave(source, 1, size.columns, sheet + row * step, lanes);
        }
    } else {
        for (std::ptrdiff_t column = 0; column < size.columns; ++column) {
            Stack<const T> source = images;
            source.first += column * size.rows + first;
            interleave(source, 1, last - first, sheet + first * step + column * lanes, step);
        }
    }
}

// images[lane](row, column) (+)= value(lane, row - first, column), for rows [first, first + rows).
template <typename T, typename Value>
void write_tile(Stack<T> images, Axis axis, Sheet size, std::ptrdiff_t first, std::ptrdiff_t rows,
                bool add, const Value& value) {
    const std::ptrdiff_t row_step = axis == kRows ? size.columns : 1;
    const std::ptrdiff_t column_step = axis == kRows ? 1 : size.rows;
    for (std::ptrdiff_t start = 0; start < size.columns; start += kCopyTile) {
        const std::ptrdiff_t stop = std::min(start + kCopyTile, size.columns);
        for (std::ptrdiff_t lane = 0; lane < images.valid; ++lane) {
            T* image = images.first + lane * images.stride + first * row_step;
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                for (std::ptrdiff_t column = start; column < stop; ++column) {
                    T& pixel = image[r * row_step + column * column_step];
                    const T increment = value(lane, r, column);
                    pixel = add ? pixel + increment : increment;
                }
            }
        }
    }
}

}  // namespace joseph
