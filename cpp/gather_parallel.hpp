// The adjoint of parallel rays on a tile. Part of kernels.cpp.
#pragma once

#include "track.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// kTwo: at most one ray on either side of a pixel is near enough.
template <typename T, int kRows, int kImages, int kVectors, bool kTwo>
inline void gather_parallel(const Track<T>& track, Place place, Tile<T, kRows, kImages>& tile) {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    using Word = typename S::Word;
    const double t = track.origin + track.along * (place.column + track.parallel.corner_lane) +
                     track.across * (place.row + track.parallel.corner_row);
    const double before = static_cast<double>(track.begin - Window<T, kVectors>::kSize);
    if (!(t > before && t < static_cast<double>(track.end))) return;
    const ptrdiff_t window = round_down(t);
    const Word begin = static_cast<Word>(static_cast<typename S::Scalar>(
        (t - static_cast<double>(window)) * S::kUnit + 0.5));
    const Word step = static_cast<Word>(track.parallel.row_step);
    Index position = S::template load<Index>(track.parallel.positions) +
                     (begin + step * static_cast<Word>(place.skip));
    const Windows<T, kImages, kVectors> windows(track.data + place.offset + window, track.image_stride);
    const T spacing = track.parallel.spacing;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const Value raised = S::one_plus_fraction(position);
        Index index = S::whole(position);
        if constexpr (kTwo) {
            const Index next = index + 1;
            const Value to_here = S::at_least_zero((1 + spacing) - spacing * raised);
            const Value to_next = S::at_least_zero((1 - 2 * spacing) + spacing * raised);
#pragma GCC unroll 4
            for (int image = 0; image < kImages; ++image) {
                tile.pixel[r][image] += to_here * windows.of[image].pick(index);
                tile.pixel[r][image] += to_next * windows.of[image].pick(next);
            }
        } else {
            Value away = (1 + track.parallel.shift) - raised;
            for (int tap = 0; tap < track.parallel.taps; ++tap) {
                const Value weight = S::at_least_zero(1 - spacing * S::magnitude(away));
#pragma GCC unroll 4
                for (int image = 0; image < kImages; ++image) {
                    tile.pixel[r][image] += weight * windows.of[image].pick(index);
                }
                away += 1;
                index += 1;
            }
        }
        position += step;
    }
}

// All tracks of one kind; a function of its own, so that the tile stays in registers.
template <typename T, int kRows, int kImages, int kVectors, bool kTwo>
__attribute__((noinline)) void gather_lines(const Track<T>* track, const Track<T>* end,
                                            const Place& where, Tile<T, kRows, kImages>* to) {
    const Place place = where;
    Tile<T, kRows, kImages> tile = {};
    for (; track != end; ++track) {
        gather_parallel<T, kRows, kImages, kVectors, kTwo>(*track, place, tile);
    }
    add(tile, *to);
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
