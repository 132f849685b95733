// The adjoint on a tile of the image, which stays in registers while all views add to it: a gather
// over the rays that are less than a pixel away. Part of kernels.cpp.
#pragma once

#include "kernels.hpp"
#include "project.hpp"
#include "simd.hpp"

namespace joseph {

// In row r and column k the ray through the pixel has the detector coordinate
//     parallel: t = origin + along k + across r,
//     fan: t = (origin + along k + across r) / (depth + depth_along k + depth_across r),
// and ray d passes it at the distance |t - d| spacing (parallel), |intercepts + slopes r - k| (fan).
template <typename T>
struct Track {
    alignas(64) T lane[64 / sizeof(T)];
    alignas(64) unsigned char positions[64];
    const T* data;
    ptrdiff_t image_stride, begin, end;
    double origin, along, across;
    double depth, depth_along, depth_across;
    double bend, bend_across;  // |dt/dk| = |bend + bend_across r| / depth², fan
    const double* intercepts;
    const double* slopes;
    double corner_row, corner_lane;
    T spacing, shift;
    int64_t row_step;
    int taps, windows;
    bool fan;
};

namespace JOSEPH_ISA {
namespace {

constexpr int kMostTaps = 8;  // of rays that pass within a pixel

template <typename T>
bool prepare_parallel(const View& view, Track<T>& track) {
    using S = Simd<T>;
    constexpr ptrdiff_t width = S::kWidth;
    const double along = 1 / view.step, across = -view.slope * along;
    const double reach = __builtin_fabs(along);
    if (!(2 * reach <= kMostTaps)) return false;
    track.taps = reach > 0.5 && reach <= 1 ? 2 : static_cast<int>(__builtin_ceil(2 * reach));
    const double shift = track.taps == 2 ? 0 : 1 - reach;
    const double last_lane = static_cast<double>(width - 1);
    const double last_row = static_cast<double>(kTileRows - 1);
    const double span = reach * last_lane + __builtin_fabs(across) * last_row + 1 + track.taps;
    if (!(span < Window<T, 4>::kSize)) return false;
    track.windows = span < Window<T, 2>::kSize ? 2 : 4;
    track.corner_lane = along < 0 ? last_lane : 0;
    track.corner_row = across < 0 ? last_row : 0;
    track.origin = -view.intercept * along + shift;
    track.along = along;
    track.across = across;
    track.spacing = static_cast<T>(__builtin_fabs(view.step));
    track.shift = static_cast<T>(shift);
    track.row_step = static_cast<int64_t>(__builtin_rint(across * S::kUnit));
    typename S::Word positions[width];
    for (ptrdiff_t k = 0; k < width; ++k) {
        const double t = along * (static_cast<double>(k) - track.corner_lane) -
                         across * track.corner_row;
        positions[k] = static_cast<typename S::Word>(
            static_cast<typename S::Scalar>(__builtin_rint(t * S::kUnit)));
    }
    __builtin_memcpy(track.positions, positions, sizeof positions);
    return true;
}

template <typename T>
bool prepare_fan(const View& view, Sheets size, Track<T>& track) {
    const double sx = view.source[0], sy = view.source[1];
    const double ux = view.pitch[0], uy = view.pitch[1];
    const double px = view.first[0], py = view.first[1];
    track.origin = px * sy - py * sx;
    track.along = py;
    track.across = -px;
    track.depth = uy * sx - ux * sy;
    track.depth_along = -uy;
    track.depth_across = ux;
    const double sign = track.depth + track.depth_across * 0.5 * static_cast<double>(size.rows) +
                                track.depth_along * 0.5 * static_cast<double>(size.columns) < 0
                            ? -1.0 : 1.0;
    track.origin *= sign;
    track.along *= sign;
    track.across *= sign;
    track.depth *= sign;
    track.depth_along *= sign;
    track.depth_across *= sign;
    track.bend = track.along * track.depth - track.depth_along * track.origin;
    track.bend_across = track.along * track.depth_across - track.depth_along * track.across;
    track.intercepts = view.intercepts;
    track.slopes = view.slopes;
    const double right = static_cast<double>(size.columns + 16 + 1);
    const double bottom = static_cast<double>(size.rows + kTileRows);
    const double largest = __builtin_fabs(track.depth_along) * right +
                           __builtin_fabs(track.depth_across) * bottom;
    for (int corner = 0; corner < 4; ++corner) {
        const double k = corner % 2 == 0 ? -1.0 : right, r = corner < 2 ? 0.0 : bottom;
        const double depth = track.depth + track.depth_along * k + track.depth_across * r;
        if (!(depth > 1e-3 * largest)) return false;
    }
    return true;
}

template <typename T>
bool prepare(const View& view, Sheets size, const T* data, ptrdiff_t data_image_stride,
             Track<T>* to) {
    Track<T>& track = *to;
    track.fan = view.fan;
    track.data = data;
    track.image_stride = data_image_stride;
    track.begin = view.begin;
    track.end = view.end;
    if (!view.regular) return false;
    return view.fan ? prepare_fan(view, size, track) : prepare_parallel(view, track);
}

// kRows rows of kImages images, one vector of columns each.
template <typename T, int kRows, int kImages>
struct Tile {
    typename Simd<T>::Value pixel[kRows][kImages];
};

// Where a tile is: its first column, the first row of its strip, and how many rows it lies below.
struct Place {
    double column, row;
    ptrdiff_t skip, offset;
};

template <typename T, int kImages, int kVectors>
struct Windows {
    Window<T, kVectors> of[kImages];

    Windows(const T* data, ptrdiff_t image_stride) {
        for (int image = 0; image < kImages; ++image) {
            of[image] = Window<T, kVectors>::at(data + image * image_stride);
        }
    }
};

// kTwo: at most one ray on either side of a pixel is near enough.
template <typename T, int kRows, int kImages, int kVectors, bool kTwo>
inline void gather_parallel(const Track<T>& track, Place place, Tile<T, kRows, kImages>& tile) {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    using Word = typename S::Word;
    const double t = track.origin + track.along * (place.column + track.corner_lane) +
                     track.across * (place.row + track.corner_row);
    const double before = static_cast<double>(track.begin - Window<T, kVectors>::kSize);
    if (!(t > before && t < static_cast<double>(track.end))) return;
    const ptrdiff_t window = static_cast<ptrdiff_t>(t + kBias) - (ptrdiff_t{1} << 20);
    const Word begin = static_cast<Word>(static_cast<typename S::Scalar>(
        (t - static_cast<double>(window)) * S::kUnit + 0.5));
    const Word step = static_cast<Word>(track.row_step);
    Index position = S::template load<Index>(track.positions) +
                     (begin + step * static_cast<Word>(place.skip));
    const Windows<T, kImages, kVectors> windows(track.data + place.offset + window, track.image_stride);
    const T spacing = track.spacing;
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
            Value away = (1 + track.shift) - raised;
            for (int tap = 0; tap < track.taps; ++tap) {
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

// What a fan view is in one tile. Rays and columns count from the first of each.
template <typename T>
struct FanTile {
    ptrdiff_t window;
    int taps;
    double span;
    T origin, along, across, depth, depth_along, depth_across;

    // False if no ray of the view meets the tile.
    bool set(const Track<T>& track, const Place& place);
};

template <typename T>
bool FanTile<T>::set(const Track<T>& track, const Place& place) {
    const double n = track.origin + track.along * place.column + track.across * place.row;
    const double d =
        track.depth + track.depth_along * place.column + track.depth_across * place.row;
    const double last_lane = static_cast<double>(Simd<T>::kWidth - 1);
    const double last_row = static_cast<double>(kTileRows - 1);
    const double n_lane = track.along * last_lane, n_row = track.across * last_row;
    const double d_lane = track.depth_along * last_lane, d_row = track.depth_across * last_row;
    const double t[4] = {n / d, (n + n_lane) / (d + d_lane), (n + n_row) / (d + d_row),
                         (n + n_lane + n_row) / (d + d_lane + d_row)};
    const double lowest = least(least(t[0], t[1]), least(t[2], t[3]));
    const double highest = most(most(t[0], t[1]), most(t[2], t[3]));
    const double nearest = d + least(d_lane, 0) + least(d_row, 0);
    const double bend = most(__builtin_fabs(track.bend + track.bend_across * place.row),
                             __builtin_fabs(track.bend + track.bend_across * (place.row + last_row)));
    const double reach = bend / (nearest * nearest);
    taps = reach <= 1 ? 2 : static_cast<int>(__builtin_ceil(2 * reach));
    const double shift = reach <= 1 ? 0.0 : 1 - reach;
    const double first = lowest + shift;
    if (!(highest + reach > static_cast<double>(track.begin - 1) &&
          first < static_cast<double>(track.end))) return false;
    window = static_cast<ptrdiff_t>(first + kBias) - (ptrdiff_t{1} << 20);
    span = highest - lowest + 1 + taps;
    const double base = static_cast<double>(window) - shift, scale = 1 / d;
    origin = static_cast<T>((n - base * d) * scale);
    along = static_cast<T>((track.along - base * track.depth_along) * scale);
    across = static_cast<T>((track.across - base * track.depth_across) * scale);
    depth = 1;
    depth_along = static_cast<T>(track.depth_along * scale);
    depth_across = static_cast<T>(track.depth_across * scale);
    return true;
}

// Columns at which the rays of a window pass the rows of a tile, relative to its first column.
template <typename T, int kRows, int kSize>
inline void pass_rows(const Track<T>& track, const Place& place, ptrdiff_t window,
                      T (&passes)[kRows][kSize]) {
    using S = Simd<T>;
    using Value = typename S::Value;
    alignas(64) T start[kSize];
    alignas(64) T slope[kSize];
    const double* intercepts = track.intercepts + window;
    const double* slopes = track.slopes + window;
    for (int j = 0; j < kSize; ++j) {
        start[j] = static_cast<T>(intercepts[j] - place.column + slopes[j] * place.row);
        slope[j] = static_cast<T>(slopes[j]);
    }
    for (int r = 0; r < kRows; ++r) {
        const T row = static_cast<T>(place.skip + r);
        for (int j = 0; j < kSize; j += S::kWidth) {
            S::store(passes[r] + j, S::template load<Value>(start + j) +
                                        row * S::template load<Value>(slope + j));
        }
    }
}

template <typename T, int kRows, int kImages, int kVectors>
inline void gather_fan(const Track<T>& track, const FanTile<T>& fan, const Place& place,
                       Tile<T, kRows, kImages>& tile) {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    alignas(64) T passes[kRows][Window<T, kVectors>::kSize];
    pass_rows(track, place, fan.window, passes);
    const Windows<T, kImages, kVectors> windows(track.data + place.offset + fan.window, track.image_stride);
    Value lane;
    for (int k = 0; k < S::kWidth; ++k) lane[k] = static_cast<T>(k);
    const Value numerator = fan.origin + fan.along * lane;
    const Value denominator = fan.depth + fan.depth_along * lane;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const T row = static_cast<T>(place.skip + r);
        const Value t = (numerator + row * fan.across) / (denominator + row * fan.depth_across);
        Index index = S::truncated(t);
        const auto columns = Window<T, kVectors>::at(passes[r]);
        for (int tap = 0; tap < fan.taps; ++tap) {
            const Value away = S::magnitude(columns.pick(index) - lane);
            const Value weight = S::at_least_zero(1 - away);
#pragma GCC unroll 4
            for (int image = 0; image < kImages; ++image) {
                tile.pixel[r][image] += weight * windows.of[image].pick(index);
            }
            index += 1;
        }
    }
}

// Rays that are too dense for a window, one by one.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void scatter_fan(const Track<T>& track, const FanTile<T>& fan,
                                           const Place& place, Tile<T, kRows, kImages>* to) {
    constexpr ptrdiff_t width = Simd<T>::kWidth;
    T sums[kRows][kImages][width] = {};
    const ptrdiff_t first = fan.window > track.begin ? fan.window : track.begin;
    const ptrdiff_t last = lesser(fan.window + static_cast<ptrdiff_t>(fan.span) + 2, track.end);
    for (ptrdiff_t d = first; d < last; ++d) {
        for (ptrdiff_t r = 0; r < kRows; ++r) {
            const double x = track.intercepts[d] - place.column +
                             track.slopes[d] * (place.row + static_cast<double>(place.skip + r));
            if (!(x > -1 && x < static_cast<double>(width))) continue;
            const ptrdiff_t left = static_cast<ptrdiff_t>(x + 1) - 1;
            const T fraction = static_cast<T>(x - static_cast<double>(left));
            for (int image = 0; image < kImages; ++image) {
                const T value = track.data[place.offset + image * track.image_stride + d];
                if (left >= 0) sums[r][image][left] += (1 - fraction) * value;
                if (left + 1 < width) sums[r][image][left + 1] += fraction * value;
            }
        }
    }
    for (int r = 0; r < kRows; ++r) {
        for (int image = 0; image < kImages; ++image) {
            using Value = typename Simd<T>::Value;
            to->pixel[r][image] = Simd<T>::template load<Value>(sums[r][image]);
        }
    }
}

template <typename T, int kRows, int kImages>
inline void gather_view(const Track<T>& track, const Place& place, Tile<T, kRows, kImages>& tile) {
    if (track.fan) {
        FanTile<T> fan;
        if (!fan.set(track, place)) return;
        if (fan.span < Window<T, 2>::kSize) {
            gather_fan<T, kRows, kImages, 2>(track, fan, place, tile);
        } else if (fan.span < Window<T, 4>::kSize) {
            gather_fan<T, kRows, kImages, 4>(track, fan, place, tile);
        } else {
            Tile<T, kRows, kImages> more;
            scatter_fan(track, fan, place, &more);
#pragma GCC unroll 8
            for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
                for (int image = 0; image < kImages; ++image) {
                    tile.pixel[r][image] += more.pixel[r][image];
                }
            }
        }
    } else if (track.windows == 4) {
        gather_parallel<T, kRows, kImages, 4, false>(track, place, tile);
    } else if (track.taps != 2) {
        gather_parallel<T, kRows, kImages, 2, false>(track, place, tile);
    } else {
        gather_parallel<T, kRows, kImages, 2, true>(track, place, tile);
    }
}

template <typename T, int kRows, int kImages>
void gather_tile(const Track<T>* tracks, ptrdiff_t count, const Place& place, Sheets size,
                 Target<T> target) {
    using S = Simd<T>;
    Tile<T, kRows, kImages> tile = {};
    for (ptrdiff_t view = 0; view < count; ++view) gather_view(tracks[view], place, tile);
    const ptrdiff_t column = static_cast<ptrdiff_t>(place.column);
    const ptrdiff_t row = static_cast<ptrdiff_t>(place.row) + place.skip;
    const ptrdiff_t rows = lesser(kRows, size.rows - row);
    const ptrdiff_t columns = lesser(S::kWidth, size.columns - column);
#pragma GCC unroll 4
    for (int image = 0; image < kImages; ++image) {
        T* to = target.first + image * target.image_stride + row * target.row_step +
                column * target.column_step;
        T numbers[kRows][S::kWidth];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) S::store(numbers[r], tile.pixel[r][image]);
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
    for (ptrdiff_t column = 0; column < size.columns; column += Simd<T>::kWidth) {
        for (ptrdiff_t skip = 0; skip < kTileRows && first + skip < size.rows; skip += kRows) {
            const Place place{static_cast<double>(column), static_cast<double>(first), skip,
                              offset};
            gather_tile<T, kRows, kImages>(tracks, count, place, size, target);
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
void scatter(const View& view, Sheets size, const T* data, ptrdiff_t first, ptrdiff_t last,
             Target<T> target) {
    const double right = static_cast<double>(size.columns);
    for (ptrdiff_t row = first; row < last; ++row) {
        T* line = target.first + row * target.row_step;
        for (ptrdiff_t d = view.begin; d < view.end; ++d) {
            const double intercept =
                view.fan ? view.intercepts[d] : view.intercept + view.step * static_cast<double>(d);
            const double slope = view.fan ? view.slopes[d] : view.slope;
            const double x = intercept + slope * static_cast<double>(row);
            if (!(x > -1.0 && x < right)) continue;
            const ptrdiff_t left = static_cast<ptrdiff_t>(x + 1.0) - 1;
            const T fraction = static_cast<T>(x - static_cast<double>(left));
            T* tap = line + left * target.column_step;
            if (left >= 0) tap[0] += (1 - fraction) * data[d];
            if (left + 1 < size.columns) tap[target.column_step] += fraction * data[d];
        }
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
