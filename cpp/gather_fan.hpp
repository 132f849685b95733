// The adjoint of fan beams on a tile. Part of kernels.cpp.
#pragma once

#include "track.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// What a fan view is in one tile. Rays and columns count from the first of each.
template <typename T>
struct FanTile {
    const Track<T>* track;
    ptrdiff_t window;
    int taps;
    double span;
    T origin, along, across, depth_along, depth_across;
    double sign;  // of dt/dk

    // False if no ray of the view meets the tile.
    bool set(const Track<T>& of, const Place& place);
};

template <typename T>
bool FanTile<T>::set(const Track<T>& of, const Place& place) {
    track = &of;
    typedef double Corners __attribute__((vector_size(32)));
    const auto& own = of.fan;
    const double n = of.origin + of.along * place.column + of.across * place.row;
    const double d = own.depth + own.depth_along * place.column + own.depth_across * place.row;
    const Corners nearness = 1 / (d + Simd<T>::template load<Corners>(own.corner_depth));
    const Corners t = (n + Simd<T>::template load<Corners>(own.corner)) * nearness;
    const double lowest = least(least(t[0], t[1]), least(t[2], t[3]));
    const double highest = most(most(t[0], t[1]), most(t[2], t[3]));
    const double corner = most(most(nearness[0], nearness[1]), most(nearness[2], nearness[3]));
    // Rays that are a pixel away may be nearer still.
    const double nearest = corner / (1 - corner * __builtin_fabs(own.depth_along));
    const double last_row = static_cast<double>(kTileRows - 1);
    const double bend = own.bend + own.bend_across * place.row;
    const double reach = nearest * nearest *
                         most(__builtin_fabs(bend), __builtin_fabs(bend + own.bend_across * last_row));
    taps = reach <= 1 ? 2 : static_cast<int>(__builtin_ceil(2 * least(reach, 1e6)));
    const double shift = reach <= 1 ? 0.0 : 1 - reach;
    if (!own.ordered && taps == 2) taps = 3;  // two would have to know their sides
    const double first = lowest + shift;
    if (!(highest + reach > static_cast<double>(of.begin - 1) &&
          first < static_cast<double>(of.end))) {
        return false;
    }
    sign = bend < 0 ? -1 : 1;
    window = round_down(most(first, -1e9));
    span = highest - first + 2 + most(reach, 1);
    if (span < Window<T, 4>::kSize && window + kFrame <= of.begin) return false;
    const double base = static_cast<double>(window) - shift, scale = nearness[0];
    origin = static_cast<T>((n - base * d) * scale);
    along = static_cast<T>((of.along - base * own.depth_along) * scale);
    across = static_cast<T>((of.across - base * own.depth_across) * scale);
    depth_along = static_cast<T>(own.depth_along * scale);
    depth_across = static_cast<T>(own.depth_across * scale);
    return true;
}

// Columns at which the rays of a window pass the rows of a tile, relative to its first column, and
// mirrored where they fall along the detector.
template <typename T, int kRows, int kSize>
inline void pass_rows(const FanTile<T>& fan, const Place& place,
                      T (&passes)[kRows][kSize]) {
    using S = Simd<T>;
    using Value = typename S::Value;
    alignas(64) T start[kSize];
    alignas(64) T slope[kSize];
    const double* intercepts = fan.track->fan.intercepts + fan.window;
    const double* slopes = fan.track->fan.slopes + fan.window;
    for (int j = 0; j < kSize; ++j) {
        start[j] = static_cast<T>(fan.sign * (intercepts[j] - place.column + slopes[j] * place.row));
        slope[j] = static_cast<T>(fan.sign * slopes[j]);
    }
    for (int r = 0; r < kRows; ++r) {
        const T row = static_cast<T>(place.skip + r);
        for (int j = 0; j < kSize; j += S::kWidth) {
            S::store(passes[r] + j,
                     S::fused(S::all(row), S::template load<Value>(slope + j),
                              S::template load<Value>(start + j)));
        }
    }
}

// kTaps: how many rays may pass within a pixel, 0 if only the tile knows.
template <typename T, int kRows, int kImages, int kVectors, int kTaps>
inline void gather_fan(const FanTile<T>& fan, const Place& place,
                       Tile<T, kRows, kImages>& tile) {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    alignas(64) T passes[kRows][Window<T, kVectors>::kSize];
    pass_rows(fan, place, passes);
    const Windows<T, kImages, kVectors> windows(fan.track->data + place.offset + fan.window,
                                                fan.track->image_stride);
    const Value lane = S::lanes();
    const Value numerator = S::fused(S::all(fan.along), lane, S::all(fan.origin));
    const Value depth = S::fused(S::all(fan.depth_along), lane, S::all(1));
    const Value column = static_cast<T>(fan.sign) * lane;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const Value row = S::all(static_cast<T>(place.skip + r));
        const Value t = S::fused(row, S::all(fan.across), numerator) *
                        S::inverse(S::fused(row, S::all(fan.depth_across), depth));
        Index index = S::truncated(t);
        const auto columns = Window<T, kVectors>::at(passes[r]);
        if constexpr (kTaps == 2) {
            const Index next = index + 1;
            const Value to_here = S::at_least_zero((1 - column) + columns.pick(index));
            const Value to_next = S::at_least_zero((1 + column) - columns.pick(next));
#pragma GCC unroll 4
            for (int image = 0; image < kImages; ++image) {
                Value& pixel = tile.pixel[r][image];
                pixel = S::fused(to_here, windows.of[image].pick(index), pixel);
                pixel = S::fused(to_next, windows.of[image].pick(next), pixel);
            }
        } else {
            const int taps = kTaps > 0 ? kTaps : fan.taps;
#pragma GCC unroll 4
            for (int tap = 0; tap < taps; ++tap) {
                const Value away = S::magnitude(columns.pick(index) - column);
                const Value weight = S::at_least_zero(1 - away);
#pragma GCC unroll 4
                for (int image = 0; image < kImages; ++image) {
                    Value& pixel = tile.pixel[r][image];
                    pixel = S::fused(weight, windows.of[image].pick(index), pixel);
                }
                index += 1;
            }
        }
    }
}

// Rays that are too dense for a window, one by one.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void scatter_fan(const FanTile<T>& fan, const Place& place,
                                           Tile<T, kRows, kImages>* to) {
    const Track<T>& track = *fan.track;
    constexpr ptrdiff_t width = Simd<T>::kWidth;
    T sums[kRows][kImages][width] = {};
    const ptrdiff_t first = fan.window > track.begin ? fan.window : track.begin;
    const ptrdiff_t last = lesser(fan.window + static_cast<ptrdiff_t>(fan.span) + 2, track.end);
    for (ptrdiff_t d = first; d < last; ++d) {
        for (ptrdiff_t r = 0; r < kRows; ++r) {
            const double x = track.fan.intercepts[d] - place.column +
                             track.fan.slopes[d] * (place.row + static_cast<double>(place.skip + r));
            if (!(x > -1 && x < static_cast<double>(width))) continue;
            const ptrdiff_t left = static_cast<ptrdiff_t>(x + 1) - 1;
            const T fraction = static_cast<T>(x - static_cast<double>(left));
            for (int image = 0; image < kImages; ++image) {
                const T value = track.data[place.offset + image * track.image_stride + d];
                if (left >= 0 && left < width) sums[r][image][left] += (1 - fraction) * value;
                if (left + 1 < width) sums[r][image][left + 1] += fraction * value;
            }
        }
    }
    for (int r = 0; r < kRows; ++r) {
        for (int image = 0; image < kImages; ++image) {
            using Value = typename Simd<T>::Value;
            to->pixel[r][image] += Simd<T>::template load<Value>(sums[r][image]);
        }
    }
}

constexpr int kMostFans = 64;

// Which fans of a tile are treated alike.
struct Chosen {
    int count = 0;
    uint8_t which[kMostFans];
};

template <typename T, int kRows, int kImages, int kVectors, int kTaps>
__attribute__((noinline)) void gather_fans(const FanTile<T>* fans, const Chosen& chosen,
                                           const Place& where, Tile<T, kRows, kImages>* to) {
    if (chosen.count == 0) return;
    const Place place = where;
    Tile<T, kRows, kImages> tile = {};
    for (int i = 0; i < chosen.count; ++i) {
        gather_fan<T, kRows, kImages, kVectors, kTaps>(fans[chosen.which[i]], place, tile);
    }
    add(tile, *to);
}

// Fans are sorted by what a tile needs of them, a few dozen at a time.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void gather_any_fans(const Track<T>* track, const Track<T>* end,
                                               const Place& place, Tile<T, kRows, kImages>* tile) {
    FanTile<T> fans[kMostFans];
    while (track != end) {
        Chosen pair, three, near, far;
        const ptrdiff_t count = lesser(end - track, kMostFans);
        for (ptrdiff_t i = 0; i < count; ++i) {
            FanTile<T>& fan = fans[i];
            if (!fan.set(track[i], place)) continue;
            if (fan.span >= Window<T, 4>::kSize) {
                scatter_fan(fan, place, tile);
                continue;
            }
            Chosen& kind = fan.span >= Window<T, 2>::kSize ? far
                           : fan.taps == 2                 ? pair
                           : fan.taps == 3                 ? three
                                                           : near;
            kind.which[kind.count++] = static_cast<uint8_t>(i);
        }
        gather_fans<T, kRows, kImages, 2, 2>(fans, pair, place, tile);
        gather_fans<T, kRows, kImages, 2, 3>(fans, three, place, tile);
        gather_fans<T, kRows, kImages, 2, 0>(fans, near, place, tile);
        gather_fans<T, kRows, kImages, 4, 0>(fans, far, place, tile);
        track += count;
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
