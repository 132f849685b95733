// The adjoint on a tile of the image, which stays in registers while all views add to it: a gather
// over the rays that are less than a pixel away. Part of kernels.cpp.
#pragma once

#include "kernels.hpp"
#include "project.hpp"
#include "simd.hpp"

namespace joseph {

// How a view is added to a tile, in the order in which the adjoint takes them.
enum Kind : int { kPair, kNear, kFar, kFan, kScatter = -1 };

// In row r and column k the ray through the pixel has the detector coordinate
//     parallel: t = origin + along k + across r,
//     fan: t = (origin + along k + across r) / (depth + depth_along k + depth_across r),
// and ray d passes it at the distance |t - d| spacing (parallel), |intercepts + slopes r - k| (fan).
template <typename T>
struct Track {
    const T* data;
    ptrdiff_t image_stride, begin, end;
    double origin, along, across;
    union {
        struct {
            double corner_lane, corner_row;  // where t is least
            int64_t row_step;
            T spacing, shift;
            int taps;
            unsigned char positions[64];  // of the lanes, relative to the least
        } parallel;
        struct {
            double depth, depth_along, depth_across;
            double bend, bend_across;  // dt/dk = (bend + bend_across r) / depth(r, k)²
            double corner[4], corner_depth[4];  // numerators and depths, relative to the first
            const double* intercepts;
            const double* slopes;
        } fan;
    };
    int kind;
};

namespace JOSEPH_ISA {
namespace {

constexpr int kMostTaps = 8;  // of rays that pass within a pixel

template <typename T>
int prepare_parallel(const View& view, Track<T>& track) {
    using S = Simd<T>;
    using Word = typename S::Word;
    constexpr double last_lane = static_cast<double>(S::kWidth - 1);
    constexpr double last_row = static_cast<double>(kTileRows - 1);
    auto& own = track.parallel;
    const double along = 1 / view.step, across = -view.slope * along;
    const double reach = __builtin_fabs(along);
    if (!(2 * reach <= kMostTaps)) return kScatter;
    own.taps = reach > 0.5 && reach <= 1 ? 2 : static_cast<int>(__builtin_ceil(2 * reach));
    const double shift = own.taps == 2 ? 0 : 1 - reach;
    const double span = reach * last_lane + __builtin_fabs(across) * last_row + 1 + own.taps;
    if (!(span < Window<T, 4>::kSize)) return kScatter;
    own.corner_lane = along < 0 ? last_lane : 0;
    own.corner_row = across < 0 ? last_row : 0;
    own.spacing = static_cast<T>(__builtin_fabs(view.step));
    own.shift = static_cast<T>(shift);
    own.row_step = static_cast<int64_t>(__builtin_rint(across * S::kUnit));
    track.origin = -view.intercept * along + shift;
    track.along = along;
    track.across = across;
    Word positions[S::kWidth];
    for (ptrdiff_t k = 0; k < S::kWidth; ++k) {
        const double t = along * (static_cast<double>(k) - own.corner_lane) - across * own.corner_row;
        positions[k] = static_cast<Word>(
            static_cast<typename S::Scalar>(__builtin_rint(t * S::kUnit)));
    }
    __builtin_memcpy(own.positions, positions, sizeof positions);
    if (!(span < Window<T, 2>::kSize)) return own.taps == 2 ? kScatter : kFar;
    return own.taps == 2 ? kPair : kNear;
}

template <typename T>
int prepare_fan(const View& view, Sheets size, Track<T>& track) {
    auto& own = track.fan;
    const double sx = view.source[0], sy = view.source[1];
    const double ux = view.pitch[0], uy = view.pitch[1];
    const double px = view.first[0], py = view.first[1];
    const double right = static_cast<double>(size.columns + Simd<T>::kWidth);
    const double bottom = static_cast<double>(size.rows + kTileRows);
    const double middle = uy * (sx - right / 2) - ux * (sy - bottom / 2);
    const double sign = middle < 0 ? -1.0 : 1.0;
    track.origin = sign * (px * sy - py * sx);
    track.along = sign * py;
    track.across = -sign * px;
    own.depth = sign * (uy * sx - ux * sy);
    own.depth_along = -sign * uy;
    own.depth_across = sign * ux;
    own.bend = track.along * own.depth - own.depth_along * track.origin;
    own.bend_across = track.along * own.depth_across - own.depth_along * track.across;
    own.intercepts = view.intercepts;
    own.slopes = view.slopes;
    const double least_depth = 1e-3 * (__builtin_fabs(ux) * bottom + __builtin_fabs(uy) * right);
    for (int corner = 0; corner < 4; ++corner) {
        const double k = corner % 2 == 0 ? -1.0 : right, r = corner < 2 ? 0.0 : bottom;
        if (!(own.depth + own.depth_along * k + own.depth_across * r > least_depth)) return kScatter;
        const double lane = corner % 2 == 0 ? 0.0 : static_cast<double>(Simd<T>::kWidth - 1);
        const double row = corner < 2 ? 0.0 : static_cast<double>(kTileRows - 1);
        own.corner[corner] = track.along * lane + track.across * row;
        own.corner_depth[corner] = own.depth_along * lane + own.depth_across * row;
    }
    return kFan;
}

template <typename T>
int prepare(const View& view, Sheets size, const T* data, ptrdiff_t data_image_stride,
             Track<T>* to) {
    Track<T>& track = *to;
    track.data = data;
    track.image_stride = data_image_stride;
    track.begin = view.begin;
    track.end = view.end;
    if (!view.regular) {
        track.kind = kScatter;
    } else {
        track.kind = view.fan ? prepare_fan(view, size, track) : prepare_parallel(view, track);
    }
    return track.kind;
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
    const double t = track.origin + track.along * (place.column + track.parallel.corner_lane) +
                     track.across * (place.row + track.parallel.corner_row);
    const double before = static_cast<double>(track.begin - Window<T, kVectors>::kSize);
    if (!(t > before && t < static_cast<double>(track.end))) return;
    const ptrdiff_t window = static_cast<ptrdiff_t>(t + kBias) - (ptrdiff_t{1} << 20);
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
    const double nearest = most(most(nearness[0], nearness[1]), most(nearness[2], nearness[3]));
    const double last_row = static_cast<double>(kTileRows - 1);
    const double bend = own.bend + own.bend_across * place.row;
    const double reach = nearest * nearest * most(__builtin_fabs(bend),
                             __builtin_fabs(bend + own.bend_across * last_row));
    taps = reach <= 1 ? 2 : static_cast<int>(__builtin_ceil(2 * least(reach, 1e6)));
    const double shift = reach <= 1 ? 0.0 : 1 - reach;
    const double first = lowest + shift;
    if (!(highest + reach > static_cast<double>(of.begin - 1) &&
          first < static_cast<double>(of.end))) {
        return false;
    }
    sign = bend < 0 ? -1 : 1;
    window = static_cast<ptrdiff_t>(first + kBias) - (ptrdiff_t{1} << 20);
    span = highest - first + 2 + most(reach, 1);
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
            S::store(passes[r] + j, S::template load<Value>(start + j) +
                                        row * S::template load<Value>(slope + j));
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
    const Value numerator = fan.origin + fan.along * lane;
    const Value depth = 1 + fan.depth_along * lane;
    const Value column = static_cast<T>(fan.sign) * lane;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const T row = static_cast<T>(place.skip + r);
        const Value t = (numerator + row * fan.across) * S::inverse(depth + row * fan.depth_across);
        Index index = S::truncated(t);
        const auto columns = Window<T, kVectors>::at(passes[r]);
        if constexpr (kTaps == 2) {
            const Index next = index + 1;
            const Value to_here = S::at_least_zero((1 - column) + columns.pick(index));
            const Value to_next = S::at_least_zero((1 + column) - columns.pick(next));
#pragma GCC unroll 4
            for (int image = 0; image < kImages; ++image) {
                tile.pixel[r][image] += to_here * windows.of[image].pick(index);
                tile.pixel[r][image] += to_next * windows.of[image].pick(next);
            }
        } else {
            const int taps = kTaps > 0 ? kTaps : fan.taps;
#pragma GCC unroll 4
            for (int tap = 0; tap < taps; ++tap) {
                const Value away = S::magnitude(columns.pick(index) - column);
                const Value weight = S::at_least_zero(1 - away);
#pragma GCC unroll 4
                for (int image = 0; image < kImages; ++image) {
                    tile.pixel[r][image] += weight * windows.of[image].pick(index);
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
                if (left >= 0) sums[r][image][left] += (1 - fraction) * value;
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

template <typename T, int kRows, int kImages>
inline void add(const Tile<T, kRows, kImages>& more, Tile<T, kRows, kImages>& tile) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int image = 0; image < kImages; ++image) tile.pixel[r][image] += more.pixel[r][image];
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

template <typename T>
struct FanTiles {
    static constexpr int kMost = 64;
    int count = 0;
    FanTile<T> of[kMost];
};

template <typename T, int kRows, int kImages, int kVectors, int kTaps>
__attribute__((noinline)) void gather_fans(const FanTiles<T>& fans, const Place& where,
                                           Tile<T, kRows, kImages>* to) {
    const Place place = where;
    Tile<T, kRows, kImages> tile = {};
    for (int i = 0; i < fans.count; ++i) {
        gather_fan<T, kRows, kImages, kVectors, kTaps>(fans.of[i], place, tile);
    }
    add(tile, *to);
}

// Fans are sorted by what a tile needs of them, a few dozen at a time.
template <typename T, int kRows, int kImages>
__attribute__((noinline)) void gather_any_fans(const Track<T>* track, const Track<T>* end,
                                               const Place& place, Tile<T, kRows, kImages>* tile) {
    FanTiles<T> pair, three, near, far;
    while (track != end) {
        pair.count = three.count = near.count = far.count = 0;
        const Track<T>* stop = end - track > FanTiles<T>::kMost ? track + FanTiles<T>::kMost : end;
        for (; track != stop; ++track) {
            FanTile<T> fan;
            if (!fan.set(*track, place)) continue;
            if (fan.span >= Window<T, 4>::kSize) {
                scatter_fan(fan, place, tile);
            } else {
                FanTiles<T>& kind = fan.span >= Window<T, 2>::kSize ? far
                                    : fan.taps == 2                 ? pair
                                    : fan.taps == 3                 ? three
                                                                    : near;
                kind.of[kind.count++] = fan;
            }
        }
        if (pair.count > 0) gather_fans<T, kRows, kImages, 2, 2>(pair, place, tile);
        if (three.count > 0) gather_fans<T, kRows, kImages, 2, 3>(three, place, tile);
        if (near.count > 0) gather_fans<T, kRows, kImages, 2, 0>(near, place, tile);
        if (far.count > 0) gather_fans<T, kRows, kImages, 4, 0>(far, place, tile);
    }
}

template <typename T, int kRows, int kImages>
void gather_tile(const Track<T>* track, const Track<T>* end, const Place& place,
                 Tile<T, kRows, kImages>* tile) {
    while (track != end) {
        const Track<T>* next = track + 1;
        while (next != end && next->kind == track->kind) ++next;
        switch (track->kind) {
            case kPair:
                gather_lines<T, kRows, kImages, 2, true>(track, next, place, tile);
                break;
            case kNear:
                gather_lines<T, kRows, kImages, 2, false>(track, next, place, tile);
                break;
            case kFar:
                gather_lines<T, kRows, kImages, 4, false>(track, next, place, tile);
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
    const ptrdiff_t rows = lesser(kRows, size.rows - row);
    const ptrdiff_t columns = lesser(S::kWidth, size.columns - column);
    for (int image = 0; image < kImages; ++image) {
        T* to = target.first + image * target.image_stride + row * target.row_step +
                column * target.column_step;
        T numbers[kRows][S::kWidth];
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
            Tile<T, kRows, kImages> tile = {};
            gather_tile(tracks, tracks + count, place, &tile);
            put_tile(tile, place, size, target);
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
