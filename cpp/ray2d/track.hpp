// Views as the adjoint takes them, and the tiles of the image that it fills. Part of ray2d/kernels.cpp.
#pragma once

#include "ray2d/kernels.hpp"
#include "ray2d/project.hpp"
#include "ray2d/simd.hpp"

namespace joseph {

// How a view is added to a tile; coarse ones stand last.
enum Kind : int { kPair, kNear, kFar, kFan, kOne, kTwo, kOneOfMany, kTwoOfMany, kScatter = -1 };

// In row r and column k the ray through the pixel has the detector coordinate
//     parallel: t = origin + along k + across r,
//     fan: t = (origin + along k + across r) / (depth + depth_along k + depth_across r),
// and of parallel rays ray d passes it at the distance |t - d| spacing.
template <typename T>
struct Track {
    const T* data;
    ptrdiff_t image_stride;
    double origin, along, across;
    union {
        struct {
            double from, to;  // between these no pixel of a tile is beyond the rays
            int64_t row_step;
            T spacing, shift;
            int taps;
            unsigned char positions[64];  // of the lanes, relative to the least
            // Of tiles that are not within the detector:
            double ahead;   // from t to the first ray that may be near
            double behind;  // from there to the last one in the tile
            double begin, end;  // between which the first one is
            int outer_taps;
        } parallel;
        struct {
            double depth, depth_along, depth_across;
            double bend, bend_across;  // dt/dk = (bend + bend_across r) / depth(r, k)²
        } fan;
    };
    ptrdiff_t begin, end;
    const View* view;
    Rays<T> rays;
    int kind;
};

namespace JOSEPH_ISA {
namespace {

constexpr double kSlack = 0x1p-8;  // detector pixels: how well it is known where a pixel is
constexpr int kMostTaps = 8;  // of rays that pass within a pixel
constexpr double kLeastReach = 0.2;  // detector pixels per column

template <typename T>
int prepare_parallel(const View& view, Track<T>& track) {
    using S = Simd<T>;
    using Word = typename S::Word;
    constexpr double last_lane = static_cast<double>(S::kWidth - 1);
    constexpr double last_row = static_cast<double>(kTileRows - 1);
    auto& own = track.parallel;
    const double along = 1 / view.step, across = -view.slope * along;
    const double reach = __builtin_fabs(along);
    // Positions count in detector pixels: a coarse pitch would magnify their rounding.
    if (!(2 * reach <= kMostTaps && reach >= kLeastReach)) return kScatter;
    const bool coarse = !(__builtin_fabs(view.step) < kCoarsePitch);
    own.taps = coarse || reach <= 1 ? 2 : static_cast<int>(__builtin_ceil(2 * reach));
    const double shift = own.taps == 2 ? 0 : 1 - reach;
    const double spread = reach * last_lane + __builtin_fabs(across) * last_row;
    const double span = spread + 1 + own.taps;
    if (!(span + 2 < Window<T, 4>::kSize)) return kScatter;
    // Where t is least in a tile.
    const double corner_lane = along < 0 ? last_lane : 0, corner_row = across < 0 ? last_row : 0;
    const double wide = reach + kSlack;
    own.ahead = 1 - wide - kSlack / 2 - shift;
    own.outer_taps = static_cast<int>(__builtin_ceil(2 * wide));
    own.behind = spread + own.outer_taps;
    own.begin = static_cast<double>(view.begin) - 1;
    own.end = static_cast<double>(view.end);
    own.from = static_cast<double>(view.begin) - 0.4 + shift;
    own.to = static_cast<double>(view.end) - 0.6 + shift - spread;
    own.spacing = static_cast<T>(__builtin_fabs(view.step));
    own.shift = static_cast<T>(shift);
    own.row_step = static_cast<int64_t>(__builtin_rint(across * S::kUnit));
    track.origin = -view.intercept * along + shift + along * corner_lane + across * corner_row;
    track.along = along;
    track.across = across;
    Word positions[S::kWidth];
    for (ptrdiff_t k = 0; k < S::kWidth; ++k) {
        const double t = along * (static_cast<double>(k) - corner_lane) - across * corner_row;
        positions[k] = static_cast<Word>(
            static_cast<typename S::Scalar>(__builtin_rint(t * S::kUnit)));
    }
    __builtin_memcpy(own.positions, positions, sizeof positions);
    if (coarse) {
        const bool fits = own.behind + 1 < Window<T, 1>::kSize;
        if (own.outer_taps == 1) return fits ? kOne : kOneOfMany;
        return fits ? kTwo : kTwoOfMany;
    }
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
    const double least_depth = 1e-3 * (__builtin_fabs(ux) * bottom + __builtin_fabs(uy) * right);
    for (int corner = 0; corner < 4; ++corner) {
        const double k = corner % 2 == 0 ? -1.0 : right, r = corner < 2 ? 0.0 : bottom;
        if (!(own.depth + own.depth_along * k + own.depth_across * r > least_depth)) return kScatter;
    }
    return kFan;
}

template <typename T>
int prepare(const View& view, Sheets size, const T* data, ptrdiff_t data_image_stride,
            const Rays<T>& rays, Track<T>* to) {
    Track<T>& track = *to;
    track.data = data;
    track.image_stride = data_image_stride;
    track.begin = view.begin;
    track.end = view.end;
    track.view = &view;
    track.rays = rays;
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

template <typename T, int kRows, int kImages>
inline void add(const Tile<T, kRows, kImages>& more, Tile<T, kRows, kImages>& tile) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int image = 0; image < kImages; ++image) tile.pixel[r][image] += more.pixel[r][image];
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
