// The adjoint of fan beams on a tile. Part of ray2d/kernels.cpp.
#pragma once

#include "ray2d/gather_exact.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr double kMostColumns = 48.0;  // that a window may stretch over

// A few views at once, as numbers in double precision.
template <typename T>
void aim_fans(const Track<T>* first, ptrdiff_t count, const Place& place, FanAims<T>& aims) {
    using Value = Simd<double>::Value;
    constexpr double last_lane = static_cast<double>(Simd<T>::kWidth - 1);
    constexpr double last_row = static_cast<double>(kTileRows - 1);
    constexpr double large = Window<T, 4>::kSize;
    constexpr ptrdiff_t width = kDoubles;
    aims.tracks = first;
    for (ptrdiff_t i = 0; i < count; i += width) {
        Value n, n_along, n_across, d, d_along, d_across, bend, bend_across, begin, end;
        for (ptrdiff_t j = 0; j < width; ++j) {
            const Track<T>& track = first[least<ptrdiff_t>(i + j, count - 1)];
            n[j] = track.origin;
            n_along[j] = track.along;
            n_across[j] = track.across;
            d[j] = track.fan.depth;
            d_along[j] = track.fan.depth_along;
            d_across[j] = track.fan.depth_across;
            bend[j] = track.fan.bend;
            bend_across[j] = track.fan.bend_across;
            begin[j] = static_cast<double>(track.begin);
            end[j] = static_cast<double>(track.end);
        }
        n += n_along * place.column + n_across * place.row;
        d += d_along * place.column + d_across * place.row;
        bend += bend_across * place.row;
        const Value n_lane = n_along * last_lane, n_row = n_across * last_row;
        const Value d_lane = d_along * last_lane, d_row = d_across * last_row;
        const Value r0 = 1 / d, r1 = 1 / (d + d_lane);
        const Value r2 = 1 / (d + d_row), r3 = 1 / (d + d_lane + d_row);
        const Value t0 = n * r0, t1 = (n + n_lane) * r1;
        const Value t2 = (n + n_row) * r2, t3 = (n + n_lane + n_row) * r3;
        const Value lowest = least(least(t0, t1), least(t2, t3));
        const Value highest = most(most(t0, t1), most(t2, t3));
        const Value corner = most(most(r0, r1), most(r2, r3));
        // Rays that are a pixel away may be nearer still.
        const Value nearest = corner / (1 - corner * magnitude<double>(d_along));
        const Value turn = bend + bend_across * last_row;
        const Value bent = most(magnitude<double>(bend), magnitude<double>(turn));
        const Value reach = least(bent * nearest * nearest + kSlack, all<double>(1e6));
        const Value more = least(1 - reach, Value{});
        const Value start = most(lowest + more - kSlack, all<double>(-1e9));
        Value spread = highest - start + 2 + kSlack + most(reach, all<double>(1));
        // Positions count in detector pixels from the middle: where these are columns apart, the
        // rounding of positions would be magnified.
        const Value deepest = 1 / least(least(r0, r1), least(r2, r3));
        const Value slowest =
            bend * turn > 0 ? least(magnitude<double>(bend), magnitude<double>(turn)) : Value{};
        spread = spread * deepest * deepest < kMostColumns * slowest
                     ? spread
                     : most(spread, all<double>(large));
        const Value whole = rounded_down(least(start, all<double>(1e9)));
        const Value n_middle = n + n_lane / 2 + n_row / 2, d_middle = d + d_lane / 2 + d_row / 2;
        const Value scale = 1 / d_middle;
        const Value middle = rounded_down(
            most(least(n_middle * scale, all<double>(1e9)), all<double>(-1e9)));
        const auto meets = (highest + reach > begin - 1) & (start < end) &
                                  ((spread >= large) | (whole + large > begin));
        store_rounded(aims.span + i, meets ? spread : all<double>(-1));
        store_rounded(aims.window + i, whole);
        store_rounded(aims.taps + i, reach <= 1 ? all<double>(2) : -rounded_down(-2 * reach));
        store_rounded(aims.origin + i, (n_middle - middle * d_middle) * scale);
        store_rounded(aims.along + i, (n_along - middle * d_along) * scale);
        store_rounded(aims.across + i, (n_across - middle * d_across) * scale);
        store_rounded(aims.depth_along + i, d_along * scale);
        store_rounded(aims.depth_across + i, d_across * scale);
        store_rounded(aims.shift + i, more + (middle - whole));
    }
}

// Rays that are too dense for a window, one by one.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void scatter_fan(const FanAims<T>& fans, ptrdiff_t i,
                                           const Place& place, Tile<T, kRows, kImages>* to) {
    const Track<T>& track = fans.tracks[i];
    constexpr ptrdiff_t width = Simd<T>::kWidth;
    T sums[kRows][kImages][width] = {};
    const ptrdiff_t row = static_cast<ptrdiff_t>(place.row) + place.skip;
    const ptrdiff_t column = static_cast<ptrdiff_t>(place.column);
    const ptrdiff_t start = fans.window[i];
    const ptrdiff_t first = start > track.begin ? start : track.begin;
    const ptrdiff_t beyond = start + static_cast<ptrdiff_t>(fans.span[i]) + 2;
    const ptrdiff_t last = least<ptrdiff_t>(beyond, track.end);
    for (ptrdiff_t d = first; d < last; ++d) {
        for (ptrdiff_t r = 0; r < kRows; ++r) {
            Crossing<T> at;
            if (!Crossing<T>::find(*track.view, track.rays, d, row + r, column + width, &at)) continue;
            const ptrdiff_t left = at.left - column;
            const T fraction = at.fraction;
            for (int image = 0; image < kImages; ++image) {
                const T value = track.data[place.offset + image * track.image_stride + d];
                if (left >= 0 && left < width) sums[r][image][left] += (1 - fraction) * value;
                if (left + 1 >= 0 && left + 1 < width) sums[r][image][left + 1] += fraction * value;
            }
        }
    }
    for (int r = 0; r < kRows; ++r) {
        for (int image = 0; image < kImages; ++image) {
            using Value = typename Simd<T>::Value;
            to->pixel[r][image] += load<Value>(sums[r][image]);
        }
    }
}

// Fans are sorted by what a tile needs of them, a few dozen at a time.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void gather_any_fans(const Track<T>* track, const Track<T>* end,
                                               const Place& place, Tile<T, kRows, kImages>* tile) {
    FanAims<T> aims;
    while (track != end) {
        const ptrdiff_t count = least<ptrdiff_t>(end - track, kMostAims);
        aim_fans(track, count, place, aims);
        Choices<T> choices;
        for (ptrdiff_t i = 0; i < count; ++i) {
            if (aims.span[i] < 0) continue;
            if (aims.span[i] >= Window<T, 4>::kSize) {
                scatter_fan(aims, i, place, tile);
            } else {
                choices.add(i, aims.span[i], aims.taps[i]);
            }
        }
        gather_choices(aims, choices, place, tile);
        track += count;
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
