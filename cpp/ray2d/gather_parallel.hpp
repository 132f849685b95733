// The adjoint of parallel rays on a tile. Part of ray2d/kernels.cpp.
#pragma once

#include "ray2d/gather_exact.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// Where a view begins in a tile: the first ray of its window, and the position of the lane and row
// that are nearest to it. Computed for many views before any is used, which hides how long it takes.
template <typename T>
struct Beginnings {
    static constexpr ptrdiff_t kMost = kMostAims;
    int32_t window[kMost];
    typename Simd<T>::Word position[kMost];
    int outer;
    uint8_t outside[kMost];  // views that have an end in the tile

    void set(const Track<T>* tracks, ptrdiff_t count, const Place& place) {
        using S = Simd<T>;
        using Word = typename S::Word;
        outer = 0;
        for (ptrdiff_t i = 0; i < count; ++i) {
            const Track<T>& track = tracks[i];
            const auto& own = track.parallel;
            const double t = track.origin + track.along * place.column + track.across * place.row;
            if (!(t >= own.from && t <= own.to)) {
                outside[outer++] = static_cast<uint8_t>(i);
                continue;
            }
            window[i] = round_down(t);
            const auto begin = static_cast<typename S::Scalar>(
                (t - static_cast<double>(window[i])) * S::kUnit + 0.5);
            position[i] = static_cast<Word>(begin) +
                          static_cast<Word>(own.row_step) * static_cast<Word>(place.skip);
        }
    }
};

// kTaps: how many rays may pass within a pixel, 0 if only the track knows.
template <typename T, int kRows, int kImages, int kVectors, int kTaps>
inline void gather_parallel(const Track<T>& track, ptrdiff_t window, typename Simd<T>::Word begin,
                            ptrdiff_t offset, Tile<T, kRows, kImages>& tile) {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    using Word = typename S::Word;
    const Word step = static_cast<Word>(track.parallel.row_step);
    Index position = load<Index>(track.parallel.positions) + begin;
    const Windows<T, kImages, kVectors> windows(track.data + offset + window, track.image_stride);
    const Value spacing = all<T>(track.parallel.spacing);
    const Value here_at = 1 + spacing, next_at = 1 - 2 * spacing;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const Value raised = S::one_plus_fraction(position);
        Index index = S::whole(position);
        if constexpr (kTaps == 2) {
            const Index next = index + 1;
            const Value to_here = most(fused(-spacing, raised, here_at), Value{});
            const Value to_next = most(fused(spacing, raised, next_at), Value{});
#pragma GCC unroll 4
            for (int image = 0; image < kImages; ++image) {
                Value& pixel = tile.pixel[r][image];
                pixel = fused(to_here, windows.of[image].pick(index), pixel);
                pixel = fused(to_next, windows.of[image].pick(next), pixel);
            }
        } else {
            Value away = (1 + track.parallel.shift) - raised;
            const int taps = kTaps > 0 ? kTaps : track.parallel.taps;
            for (int tap = 0; tap < taps; ++tap) {
                const Value weight =
                    most(fused(-spacing, magnitude<T>(away), all<T>(1)), Value{});
#pragma GCC unroll 4
                for (int image = 0; image < kImages; ++image) {
                    Value& pixel = tile.pixel[r][image];
                    pixel = fused(weight, windows.of[image].pick(index), pixel);
                }
                away += 1;
                index += 1;
            }
        }
        position += step;
    }
}

// Views whose detectors have an end in the tile.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void gather_outers(const Track<T>* tracks, const uint8_t* which,
                                             int count, const Place& place,
                                             Tile<T, kRows, kImages>* tile) {
    LineAims<T, false> aims;
    aims.tracks = tracks;
    Choices<T> choices;
    for (int n = 0; n < count; ++n) {
        const int i = which[n];
        if (aims.set(i, place)) choices.add(i, aims.span(i), aims.taps(i));
    }
    gather_choices(aims, choices, place, tile);
}

// All tracks of one kind; a function of its own, so that the tile stays in registers.
template <typename T, int kRows, int kImages, int kVectors, int kTaps>
__attribute__((noinline)) void gather_lines(const Track<T>* track, const Track<T>* end,
                                            const Place& where, Tile<T, kRows, kImages>* to) {
    const Place place = where;
    Tile<T, kRows, kImages> tile = {};
    Beginnings<T> beginnings;
    while (track != end) {
        const ptrdiff_t count = least<ptrdiff_t>(end - track, Beginnings<T>::kMost);
        beginnings.set(track, count, place);
        ptrdiff_t i = 0;
        for (int n = 0; n <= beginnings.outer; ++n, ++i) {
            const ptrdiff_t stop = n < beginnings.outer ? beginnings.outside[n] : count;
            for (; i < stop; ++i) {
                gather_parallel<T, kRows, kImages, kVectors, kTaps>(
                    track[i], beginnings.window[i], beginnings.position[i], place.offset, tile);
            }
        }
        if (beginnings.outer > 0) {
            gather_outers(track, beginnings.outside, beginnings.outer, place, to);
        }
        track += count;
    }
    add(tile, *to);
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
