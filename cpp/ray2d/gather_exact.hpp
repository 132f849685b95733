// Tiles on which the adjoint takes its weights from the positions that the forward transform has. Part
// of ray2d/kernels.cpp.
#pragma once

#include "ray2d/ramp.hpp"
#include "ray2d/track.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kMostAims = 64;

// What up to kMostAims fan views are in one tile. The first ray that may be near a pixel is
//     shift + (origin + along k + across r) / (1 + depth_along k + depth_across r),
// rounded down, with columns and rows that count from the middle of the tile, and rays from the first
// of a window, which keeps numbers small. Arrays, so that many views are aimed at once.
template <typename T>
struct FanAims {
    const Track<T>* tracks;
    int32_t window[kMostAims];  // the first ray of it
    int32_t taps[kMostAims];    // how many rays may pass within a pixel
    double span[kMostAims];     // rays from the first to the last of them, negative if there are none
    T origin[kMostAims], along[kMostAims], across[kMostAims];
    T depth_along[kMostAims], depth_across[kMostAims], shift[kMostAims];
};

// Of parallel views, `position` is where the first ray is that may be near a pixel, for the lane and
// row that are nearest to it, as a fixed-point number.
template <typename T, bool kTables>
struct LineAims {
    const Track<T>* tracks;
    int32_t window[kMostAims];
    typename Simd<T>::Word position[kMostAims];

    int taps(ptrdiff_t i) const { return tracks[i].parallel.outer_taps; }
    double span(ptrdiff_t i) const { return tracks[i].parallel.behind + 1; }

    // False if no ray of the view meets the tile.
    bool set(int i, const Place& place) {
        using S = Simd<T>;
        using Word = typename S::Word;
        const Track<T>& track = tracks[i];
        const auto& own = track.parallel;
        const double first = track.origin + track.along * place.column + track.across * place.row +
                             own.ahead;
        if (!(first + own.behind > own.begin && first < own.end)) return false;
        window[i] = round_down(first);
        const double beyond = (first - static_cast<double>(window[i])) * S::kUnit + 0.5;
        position[i] = static_cast<Word>(static_cast<typename S::Scalar>(beyond)) +
                      static_cast<Word>(own.row_step) * static_cast<Word>(place.skip);
        return true;
    }
};

// The rays of a window of a fan, in the first row of a part of a tile.
template <typename T, int kVectors>
inline Ramp<T, kVectors, true> ramp_of_fan(const Track<T>& track, ptrdiff_t window, double span,
                                     const Place& place, RampMemory<T, kVectors>& memory) {
    using S = Simd<T>;
    using Index = typename S::Index;
    using W = Window<T, kVectors>;
    const ptrdiff_t row = static_cast<ptrdiff_t>(place.row), middle = middle_of_stretch(row);
    const auto beyond = static_cast<typename S::Word>(row + place.skip - middle);
    const auto column = Fixed<T>::columns(static_cast<ptrdiff_t>(place.column));
    const ptrdiff_t needed = static_cast<ptrdiff_t>(span) + 2;
    const ptrdiff_t count = W::kInRegisters ? W::kSize : least<ptrdiff_t>(W::kSize, needed);
    for (ptrdiff_t j = 0; j < count; j += S::kWidth) {
        const Index slopes = load<Index>(track.rays.slope + window + j);
        const Index step = steps_of<T>(slopes);
        const Index at = anchors<T>(load<Index>(track.rays.place + window + j), slopes,
                                    middle - track.rays.middle);
        store(memory.places + j, at + step * beyond - column);
        store(memory.steps + j, step);
    }
    return Ramp<T, kVectors, true>(memory);
}

// Of parallel rays, where a table does not have them: step d in a window, and the rows of a tile.
template <typename T, int kRows, int kVectors>
struct Lines {
    using S = Simd<T>;
    using D = Simd<double>;
    using Word = typename S::Word;
    static constexpr ptrdiff_t kSize = Window<T, kVectors>::kSize;
    Word places[kSize], intercepts[kRows + D::kWidth];

    void set(const View& view, ptrdiff_t window, double span, ptrdiff_t row) {
        const ptrdiff_t used = least<ptrdiff_t>(kSize, static_cast<ptrdiff_t>(span) + 2);
        for (ptrdiff_t j = 0; j < used; j += S::kWidth) {
            store(places + j, FixedWords<T>::multiples(view.step, window + j));
        }
        for (ptrdiff_t r = 0; r < kRows; r += D::kWidth) {
            const auto rows = lanes<double>() + static_cast<double>(row + r);
            store(intercepts + r, FixedWords<T>::of(view.intercept + view.slope * rows));
        }
    }
};

// Adds one row: ray `index` of the window and those behind it.
template <typename T, int kRows, int kImages, int kVectors, bool kFan>
inline void add_taps(typename Simd<T>::Index index, typename Simd<T>::Index here, int taps, int r,
                     const Windows<T, kImages, kVectors>& windows,
                     const Ramp<T, kVectors, kFan>& ramp,
                     Tile<T, kRows, kImages>& tile) {
#pragma GCC unroll 4
    for (int tap = 0; tap < taps; ++tap) {
        const auto weight = Tent<T>::at(ramp.pick(index, r) - here);
#pragma GCC unroll 4
        for (int image = 0; image < kImages; ++image) {
            auto& pixel = tile.pixel[r][image];
            pixel = fused(weight, windows.of[image].pick(index), pixel);
        }
        index += 1;
    }
}

// kTaps is 0 if only the tile knows.
template <typename T, int kRows, int kImages, int kVectors, int kTaps>
inline void gather_view(const FanAims<T>& aims, int i, const Place& place,
                       Tile<T, kRows, kImages>& tile) {
    using S = Simd<T>;
    using Value = typename S::Value;
    const Track<T>& track = aims.tracks[i];
    const ptrdiff_t window = aims.window[i];
    const Windows<T, kImages, kVectors> windows(track.data + place.offset + window,
                                                track.image_stride);
    RampMemory<T, kVectors> memory;
    auto ramp = ramp_of_fan<T, kVectors>(track, window, aims.span[i], place, memory);
    const Value lane = lanes<T>() - static_cast<T>(0.5 * (S::kWidth - 1));
    const Value shift = all<T>(aims.shift[i]);
    const Value across = all<T>(aims.across[i]), depth_across = all<T>(aims.depth_across[i]);
    const Value first_numerator = fused(all<T>(aims.along[i]), lane, all<T>(aims.origin[i]));
    const Value first_depth = fused(all<T>(aims.depth_along[i]), lane, all<T>(1));
    const auto here = S::lane_words() << S::kFraction;
    const int taps = kTaps > 0 ? kTaps : aims.taps[i];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const Value row = all<T>(static_cast<T>(place.skip + r) -
                                 static_cast<T>(0.5 * (kTileRows - 1)));
        const Value numerator = fused(row, across, first_numerator);
        const Value depth = fused(row, depth_across, first_depth);
        const auto index = S::whole_below(fused(numerator, S::near_inverse(depth), shift));
        add_taps(index, here, taps, r, windows, ramp, tile);
        ramp.next_row();
    }
}

template <typename T, int kRows, int kImages, int kVectors, int kTaps, bool kTables>
inline void gather_view(const LineAims<T, kTables>& aims, int i, const Place& place,
                        Tile<T, kRows, kImages>& tile) {
    using S = Simd<T>;
    using Index = typename S::Index;
    const Track<T>& track = aims.tracks[i];
    const ptrdiff_t window = aims.window[i];
    const Windows<T, kImages, kVectors> windows(track.data + place.offset + window,
                                                track.image_stride);
    const ptrdiff_t first_row = static_cast<ptrdiff_t>(place.row) + place.skip;
    Lines<T, kRows, kVectors> lines;
    const typename S::Word* places = lines.places;
    const typename S::Word* intercepts = lines.intercepts;
    if constexpr (kTables) {
        places = track.rays.place + window;
        intercepts = track.rays.slope + first_row;
    } else {
        lines.set(*track.view, window, aims.span(i), first_row);
    }
    const Ramp<T, kVectors, false> ramp(places);
    const auto step = static_cast<typename S::Word>(track.parallel.row_step);
    Index position = load<Index>(track.parallel.positions) + aims.position[i];
    const Index columns = (S::lane_words() << S::kFraction) +
                          Fixed<T>::columns(static_cast<ptrdiff_t>(place.column));
    const int taps = kTaps > 0 ? kTaps : aims.taps(i);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        add_taps(S::whole(position), columns - intercepts[r], taps, r, windows, ramp, tile);
        position += step;
    }
}

constexpr int kFetchAhead = 8;  // views

template <typename T, bool kTables>
inline void fetch(const LineAims<T, kTables>&, int, const Place&) {}

// What a view reads of its window, which lies in the second-level cache: from tile to tile the
// windows of all views are more than the first holds. (Inlined, or GCC drops it as pure.)
template <typename T>
__attribute__((always_inline)) inline void fetch(const FanAims<T>& aims, int i, const Place& place) {
    const Track<T>& track = aims.tracks[i];
    const ptrdiff_t window = aims.window[i];
    const T* data = track.data + place.offset + window;
    __builtin_prefetch(data);
    __builtin_prefetch(data + 2 * Simd<T>::kWidth - 1);
    __builtin_prefetch(track.rays.place + window);
    __builtin_prefetch(track.rays.place + window + 2 * Simd<T>::kWidth - 1);
    __builtin_prefetch(track.rays.slope + window);
    __builtin_prefetch(track.rays.slope + window + 2 * Simd<T>::kWidth - 1);
}

// Views that are treated alike in a tile.
struct Choice {
    int count = 0;
    uint8_t which[kMostAims];

    void add(ptrdiff_t i) { which[count++] = static_cast<uint8_t>(i); }
};

template <typename T>
struct Choices {
    Choice pair, three, near, far;

    void add(ptrdiff_t i, double span, int taps) {
        Choice& choice = span >= Window<T, 2>::kSize ? far
                         : taps == 2                 ? pair
                         : taps == 3                 ? three
                                                     : near;
        choice.add(i);
    }
};

// A function of its own, so that the tile stays in registers.
template <int kVectors, int kTaps, typename Aims, typename T, int kRows, int kImages>
__attribute__((noinline)) void gather_choice(const Aims& aims, const Choice& choice,
                                             const Place& where, Tile<T, kRows, kImages>* to) {
    if (choice.count == 0) return;
    constexpr T unit = 1 / Tent<T>::kWhole;
    const Place place = where;
    Tile<T, kRows, kImages> tile = {};
    for (int n = 0; n < choice.count; ++n) {
        if (n + kFetchAhead < choice.count) fetch(aims, choice.which[n + kFetchAhead], place);
        gather_view<T, kRows, kImages, kVectors, kTaps>(aims, choice.which[n], place, tile);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int image = 0; image < kImages; ++image) tile.pixel[r][image] *= unit;
    }
    add(tile, *to);
}

template <typename Aims, typename T, int kRows, int kImages>
void gather_choices(const Aims& aims, const Choices<T>& choices, const Place& place,
                    Tile<T, kRows, kImages>* tile) {
    gather_choice<2, 2>(aims, choices.pair, place, tile);
    gather_choice<2, 3>(aims, choices.three, place, tile);
    gather_choice<2, 0>(aims, choices.near, place, tile);
    gather_choice<4, 0>(aims, choices.far, place, tile);
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
