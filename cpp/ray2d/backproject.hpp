// The adjoint on tiles of the image, which stay in registers while all views add to them: a gather
// over the rays that are less than a pixel away. Part of ray2d/kernels.cpp.
#pragma once

#include "ray2d/gather_coarse.hpp"
#include "ray2d/gather_fan.hpp"
#include "ray2d/gather_parallel.hpp"
#include "ray2d/track.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

template <typename T, int kRows, int kImages>
void gather_tile(const Track<T>* track, const Track<T>* end, const Place& place,
                 Tile<T, kRows, kImages>* tile) {
    while (track != end) {
        const Track<T>* next = track + 1;
        while (next != end && next->kind == track->kind) ++next;
        switch (track->kind) {
            case kPair:
                gather_lines<T, kRows, kImages, 2, 2>(track, next, place, tile);
                break;
            case kNear:
                gather_lines<T, kRows, kImages, 2, 0>(track, next, place, tile);
                break;
            case kFar:
                gather_lines<T, kRows, kImages, 4, 0>(track, next, place, tile);
                break;
            default: gather_any_fans(track, next, place, tile);
        }
        track = next;
    }
}

template <typename T, int kRows, int kImages>
void put_tile(const Tile<T, kRows, kImages>& tile, const Place& place, Sheets size,
              Target<T> target) {
    using S = Simd<T>;
    const ptrdiff_t column = static_cast<ptrdiff_t>(place.column);
    const ptrdiff_t row = static_cast<ptrdiff_t>(place.row) + place.skip;
    const ptrdiff_t rows = least<ptrdiff_t>(kRows, size.rows - row);
    const ptrdiff_t columns = least<ptrdiff_t>(S::kWidth, size.columns - column);
    for (int image = 0; image < kImages; ++image) {
        T* to = target.first + image * target.image_stride + row * target.row_step +
                column * target.column_step;
        T numbers[kRows][S::kWidth];
        for (int r = 0; r < kRows; ++r) store(numbers[r], tile.pixel[r][image]);
        for (ptrdiff_t k = 0; k < columns; ++k) {
            for (ptrdiff_t r = 0; r < rows; ++r) {
                T& pixel = to[r * target.row_step + k * target.column_step];
                pixel = target.add ? pixel + numbers[r][k] : numbers[r][k];
            }
        }
    }
}

template <typename T, int kRows, int kImages>
void gather_strip(const Track<T>* tracks, ptrdiff_t count, Sheets size, ptrdiff_t offset,
                  ptrdiff_t first, Target<T> target) {
    const Track<T>* const end = tracks + count;
    const Track<T>* coarse = tracks;
    while (coarse != end && coarse->kind < kOne) ++coarse;
    constexpr ptrdiff_t width = Simd<T>::kWidth;
    const ptrdiff_t rows = least<ptrdiff_t>(kTileRows, size.rows - first);
    for (ptrdiff_t column = 0; column < size.columns; column += kTilesTogether * width) {
        const ptrdiff_t left = (size.columns - column + width - 1) / width;
        const ptrdiff_t tiles = least<ptrdiff_t>(left, kTilesTogether);
        const Place corner{static_cast<double>(column), static_cast<double>(first), 0, offset};
        Tile<T, kRows, kImages> parts[kTileRows / kRows][kTilesTogether] = {};
        for (Place place = corner; place.skip < rows; place.skip += kRows) {
            gather_all_coarse(coarse, end, place, tiles, parts[place.skip / kRows]);
        }
        for (ptrdiff_t i = 0; i < tiles; ++i) {
            Place place = corner;
            place.column += static_cast<double>(i * width);
            for (; place.skip < rows; place.skip += kRows) {
                auto& tile = parts[place.skip / kRows][i];
                gather_tile(tracks, coarse, place, &tile);
                put_tile(tile, place, size, target);
            }
        }
    }
}

template <typename T>
void gather(const Track<T>* tracks, ptrdiff_t count, Sheets size, int images, ptrdiff_t offset,
            ptrdiff_t first, Target<T> target) {
    constexpr int registers = kVectorBytes == 64 ? 16 : 8;
    switch (images) {
        case 4: return gather_strip<T, registers / 4, 4>(tracks, count, size, offset, first, target);
        case 2: return gather_strip<T, registers / 2, 2>(tracks, count, size, offset, first, target);
        default: return gather_strip<T, kTileRows, 1>(tracks, count, size, offset, first, target);
    }
}

// Any geometry, ray by ray.
template <typename T>
void scatter(const View& view, const Rays<T>& rays, Sheets size, const T* data, ptrdiff_t first,
             ptrdiff_t last, Target<T> target) {
    for (ptrdiff_t row = first; row < last; ++row) {
        T* line = target.first + row * target.row_step;
        for (ptrdiff_t d = view.begin; d < view.end; ++d) {
            Crossing<T> at;
            if (!Crossing<T>::find(view, rays, d, row, size.columns, &at)) continue;
            T* tap = line + at.left * target.column_step;
            if (at.left >= 0) tap[0] += (1 - at.fraction) * data[d];
            if (at.left + 1 < size.columns) tap[target.column_step] += at.fraction * data[d];
        }
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
