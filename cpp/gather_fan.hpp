// The adjoint of fan beams on a tile. Part of kernels.cpp.
#pragma once

#include "gather_exact.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr double kMostColumns = 48.0;  // that a window may stretch over

// A few views at once, as numbers in double precision.
struct Fans {
    using D = Simd<double>;
    using Value = D::Value;
    typedef int64_t Truth __attribute__((vector_size(kVectorBytes)));

    static Value least(Value a, Value b) { return a < b ? a : b; }
    static Value most(Value a, Value b) { return a > b ? a : b; }
    static Value size(Value a) { return D::magnitude(a); }

    template <typename T>
    static void store(T* to, Value value) {
        typedef T Narrow __attribute__((vector_size(D::kWidth * sizeof(T))));
        D::store(to, __builtin_convertvector(value, Narrow));
    }
};

template <typename T>
void aim_fans(const Track<T>* first, ptrdiff_t count, const Place& place, FanAims<T>& aims) {
    using Value = Fans::Value;
    constexpr double last_lane = static_cast<double>(Simd<T>::kWidth - 1);
    constexpr double last_row = static_cast<double>(kTileRows - 1);
    constexpr double large = Window<T, 4>::kSize;
    constexpr ptrdiff_t width = Fans::D::kWidth;
    aims.tracks = first;
    for (ptrdiff_t i = 0; i < count; i += width) {
        Value n, n_along, n_across, d, d_along, d_across, bend, bend_across, begin, end;
        for (ptrdiff_t j = 0; j < width; ++j) {
            const Track<T>& track = first[lesser(i + j, count - 1)];
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
        const Value lowest = Fans::least(Fans::least(t0, t1), Fans::least(t2, t3));
        const Value highest = Fans::most(Fans::most(t0, t1), Fans::most(t2, t3));
        const Value corner = Fans::most(Fans::most(r0, r1), Fans::most(r2, r3));
        // Rays that are a pixel away may be nearer still.
        const Value nearest = corner / (1 - corner * Fans::size(d_along));
        const Value bent = Fans::most(Fans::size(bend), Fans::size(bend + bend_across * last_row));
        const Value reach = Fans::least(bent * nearest * nearest + kSlack, Fans::D::all(1e6));
        const Value more = Fans::least(1 - reach, Value{});
        const Value start = Fans::most(lowest + more - kSlack, Fans::D::all(-1e9));
        Value spread = highest - start + 2 + kSlack + Fans::most(reach, Fans::D::all(1));
        // Positions count in detector pixels from the middle: where these are columns apart, the
        // rounding of positions would be magnified.
        const Value deepest = 1 / Fans::least(Fans::least(r0, r1), Fans::least(r2, r3));
        const Value turn = bend + bend_across * last_row;
        const Value slowest =
            bend * turn > 0 ? Fans::least(Fans::size(bend), Fans::size(turn)) : Value{};
        spread = spread * deepest * deepest < kMostColumns * slowest
                     ? spread
                     : Fans::most(spread, Fans::D::all(large));
        const Value whole = Fans::D::rounded_down(Fans::least(start, Fans::D::all(1e9)));
        const Value n_middle = n + n_lane / 2 + n_row / 2, d_middle = d + d_lane / 2 + d_row / 2;
        const Value scale = 1 / d_middle;
        const Value middle = Fans::D::rounded_down(
            Fans::most(Fans::least(n_middle * scale, Fans::D::all(1e9)), Fans::D::all(-1e9)));
        const Fans::Truth meets = (highest + reach > begin - 1) & (start < end) &
                                  ((spread >= large) | (whole + large > begin));
        Fans::store(aims.span + i, meets ? spread : Fans::D::all(-1));
        Fans::store(aims.window + i, whole);
        Fans::store(aims.taps + i, reach <= 1 ? Fans::D::all(2) : -Fans::D::rounded_down(-2 * reach));
        Fans::store(aims.origin + i, (n_middle - middle * d_middle) * scale);
        Fans::store(aims.along + i, (n_along - middle * d_along) * scale);
        Fans::store(aims.across + i, (n_across - middle * d_across) * scale);
        Fans::store(aims.depth_along + i, d_along * scale);
        Fans::store(aims.depth_across + i, d_across * scale);
        Fans::store(aims.shift + i, more + (middle - whole));
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
    const ptrdiff_t last = lesser(start + static_cast<ptrdiff_t>(fans.span[i]) + 2, track.end);
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
            to->pixel[r][image] += Simd<T>::template load<Value>(sums[r][image]);
        }
    }
}

// Fans are sorted by what a tile needs of them, a few dozen at a time.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void gather_any_fans(const Track<T>* track, const Track<T>* end,
                                               const Place& place, Tile<T, kRows, kImages>* tile) {
    FanAims<T> aims;
    while (track != end) {
        const ptrdiff_t count = lesser(end - track, kMostAims);
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
