// The adjoint of fan beams on a tile. Part of kernels.cpp.
#pragma once

#include "track.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr int kMostFans = 64;
constexpr double kSlack = 0x1p-8;      // detector pixels: how well it is known where a pixel is
constexpr double kMostColumns = 48.0;  // that a window may stretch over

// What up to kMostFans fan views are in one tile. Columns and rows count from its middle, and rays
// from the one that passes there, which keeps numbers small and single precision sharp.
// Arrays, so that many views are aimed at once.
template <typename T>
struct FanTiles {
    const Track<T>* tracks;
    int32_t window[kMostFans];  // the first ray of it
    int32_t offset[kMostFans];  // from there to the one that is nearest to the middle of the tile
    int32_t taps[kMostFans];    // how many rays may pass within a pixel
    double span[kMostFans];     // rays from the first to the last of them, negative if there are none
    // t = (origin + along k + across r) / (1 + depth_along k + depth_across r), where 1 stands for
    // `depth`. `shift` leads from t to the first ray that is near.
    T origin[kMostFans], along[kMostFans], across[kMostFans];
    T depth_along[kMostFans], depth_across[kMostFans], depth[kMostFans], shift[kMostFans];

    void aim(const Track<T>* first, ptrdiff_t count, const Place& place);
};

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
void FanTiles<T>::aim(const Track<T>* first, ptrdiff_t count, const Place& place) {
    using Value = Fans::Value;
    constexpr double last_lane = static_cast<double>(Simd<T>::kWidth - 1);
    constexpr double last_row = static_cast<double>(kTileRows - 1);
    constexpr double large = Window<T, 4>::kSize;
    constexpr ptrdiff_t width = Fans::D::kWidth;
    tracks = first;
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
        Fans::store(span + i, meets ? spread : Fans::D::all(-1));
        Fans::store(window + i, whole);
        Fans::store(offset + i, middle - whole);
        Fans::store(taps + i, reach <= 1 ? Fans::D::all(2) : -Fans::D::rounded_down(-2 * reach));
        Fans::store(origin + i, (n_middle - middle * d_middle) * scale);
        Fans::store(along + i, (n_along - middle * d_along) * scale);
        Fans::store(across + i, (n_across - middle * d_across) * scale);
        Fans::store(depth_along + i, d_along * scale);
        Fans::store(depth_across + i, d_across * scale);
        Fans::store(depth + i, d_middle);
        Fans::store(shift + i, more);
    }
}

// Ray d passes a pixel at the distance |numerator - d depth| nearness[d], where numerator / depth is
// the detector coordinate of the pixel; an estimate of it is enough to find the rays that are near.
// kTaps: how many rays may pass within a pixel, 0 if only the tile knows.
template <typename T, int kRows, int kImages, int kVectors, int kTaps>
inline void gather_fan(const FanTiles<T>& fans, int i, const Place& place,
                       Tile<T, kRows, kImages>& tile) {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    using W = Window<T, kVectors>;
    const Track<T>& track = fans.tracks[i];
    const Windows<T, kImages, kVectors> windows(track.data + place.offset + fans.window[i],
                                                track.image_stride);
    alignas(64) T scaled[W::kSize];
    for (int j = 0; j < W::kSize; j += S::kWidth) {
        const Value numbers = S::template load<Value>(track.fan.nearness + fans.window[i] + j);
        S::store(scaled + j, numbers * S::all(-fans.depth[i]));
    }
    const W nearness = W::at(scaled);
    const Value lane = S::lanes() - static_cast<T>(0.5 * (S::kWidth - 1));
    const Value shift = S::all(fans.shift[i]);
    const Value across = S::all(fans.across[i]), depth_across = S::all(fans.depth_across[i]);
    const Value first_numerator = S::fused(S::all(fans.along[i]), lane, S::all(fans.origin[i]));
    const Value first_depth = S::fused(S::all(fans.depth_along[i]), lane, S::all(1));
    const Value one = S::all(1);
    const Index offset = S::all_positions(static_cast<typename S::Word>(fans.offset[i]));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const Value row = S::all(static_cast<T>(place.skip + r) -
                                 static_cast<T>(0.5 * (kTileRows - 1)));
        const Value numerator = S::fused(row, across, first_numerator);
        const Value depth = S::fused(row, depth_across, first_depth);
        const Value ray = S::rounded_down(S::fused(numerator, S::near_inverse(depth), shift));
        Index index = S::whole_number(ray) + offset;
        Value away = S::fused(-ray, depth, numerator);
        const auto put = [&](Value distance) {
            const Value weight =
                S::at_least_zero(S::fused(distance, nearness.pick(index), one));
#pragma GCC unroll 4
            for (int image = 0; image < kImages; ++image) {
                Value& pixel = tile.pixel[r][image];
                pixel = S::fused(weight, windows.of[image].pick(index), pixel);
            }
        };
        if constexpr (kTaps == 2) {
            put(S::magnitude(away));
            index += 1;
            put(S::magnitude(depth - away));
        } else {
            const int taps = kTaps > 0 ? kTaps : fans.taps[i];
#pragma GCC unroll 4
            for (int tap = 0; tap < taps; ++tap) {
                put(S::magnitude(away));
                away -= depth;
                index += 1;
            }
        }
    }
}

// Rays that are too dense for a window, one by one.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void scatter_fan(const FanTiles<T>& fans, ptrdiff_t i,
                                           const Place& place, Tile<T, kRows, kImages>* to) {
    const Track<T>& track = fans.tracks[i];
    constexpr ptrdiff_t width = Simd<T>::kWidth;
    T sums[kRows][kImages][width] = {};
    const ptrdiff_t start = fans.window[i];
    const ptrdiff_t first = start > track.begin ? start : track.begin;
    const ptrdiff_t last = lesser(start + static_cast<ptrdiff_t>(fans.span[i]) + 2, track.end);
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

// Which fans of a tile are treated alike.
struct Chosen {
    int count = 0;
    uint8_t which[kMostFans];
};

template <typename T, int kRows, int kImages, int kVectors, int kTaps>
__attribute__((noinline)) void gather_fans(const FanTiles<T>& fans, const Chosen& chosen,
                                           const Place& where, Tile<T, kRows, kImages>* to) {
    if (chosen.count == 0) return;
    const Place place = where;
    Tile<T, kRows, kImages> tile = {};
    for (int i = 0; i < chosen.count; ++i) {
        gather_fan<T, kRows, kImages, kVectors, kTaps>(fans, chosen.which[i], place, tile);
    }
    add(tile, *to);
}

// Fans are sorted by what a tile needs of them, a few dozen at a time.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void gather_any_fans(const Track<T>* track, const Track<T>* end,
                                               const Place& place, Tile<T, kRows, kImages>* tile) {
    FanTiles<T> fans;
    while (track != end) {
        Chosen pair, three, near, far;
        const ptrdiff_t count = lesser(end - track, kMostFans);
        fans.aim(track, count, place);
        for (ptrdiff_t i = 0; i < count; ++i) {
            if (fans.span[i] < 0) continue;
            if (fans.span[i] >= Window<T, 4>::kSize) {
                scatter_fan(fans, i, place, tile);
                continue;
            }
            Chosen& kind = fans.span[i] >= Window<T, 2>::kSize ? far
                           : fans.taps[i] == 2                 ? pair
                           : fans.taps[i] == 3                 ? three
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
