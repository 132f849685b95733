// The positions of a row of pixels on a detector, vector by vector. Everything is internal to the
// instruction set that it is compiled for.
//
// Of a group of vectors the middle is placed in double precision, and every pixel relative to it:
// with n and d linear in the pixel, n(l)/d(l) = n/d + q l/(1 + r l), and the angle of (n, d) turns by
// atan(q l/(1 + r l)). Positions then are small numbers, and as exact in single precision as the
// interpolation that they serve.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "pixels/kernels.hpp"
#include "window.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kGroup = kPixelRound, kFewer = 16;  // pixels
constexpr double kLeastAhead = 1e-9;  // of d, where pixels count as in front of the source
constexpr double kMostTangent = 0.25;
constexpr double kFarAway = 1e8;

// How many vectors of a line hold the neighbours of a vector of pixels; 0 for none or many. Steep
// rows are placed in smaller groups, so that positions remain small numbers.
template <typename T>
inline int windows_for(double slope) {
    constexpr double kWidth = Pack<T>::kWidth;
    if ((kWidth - 1) * slope < kWidth - 2.5) return 1;
    return (kWidth - 1) * slope < 2 * kWidth - 2.5 ? 2 : 0;
}

// kVectors vectors of a line from `start` on, from which each lane picks one, index 0 being the first.
template <typename T, int kVectors>
struct WindowFrom {
    explicit WindowFrom(const T* start) : window(start + Pack<T>::kWidth) {}
    Value<T> operator[](Index<T> i) const {
        return window[i - static_cast<int32_t>(Pack<T>::kWidth)];
    }
    Window<T> window;
};

#if defined(__AVX2__) && !defined(__AVX512F__)
template <>
struct WindowFrom<float, 1> {
    explicit WindowFrom(const float* start) : numbers(_mm256_loadu_ps(start)) {}
    Value<float> operator[](Index<float> i) const {
        return _mm256_permutevar8x32_ps(numbers, reinterpret_cast<__m256i>(i));
    }
    __m256 numbers;
};
#endif

// n and d along a row: at pixel k, n + k dn and d + k dd.
struct Along {
    double n, dn, d, dd;

    Along(const PixelTile& tile, const PixelView& view, ptrdiff_t row) {
        const double y = tile.y + static_cast<double>(row) * tile.dy;
        n = view.n[0] * tile.x + view.n[1] * y + view.n[2];
        d = view.d[0] * tile.x + view.d[1] * y + view.d[2];
        dn = view.n[0] * tile.dx;
        dd = view.d[0] * tile.dx;
    }

    // n' d - n d', the same everywhere on the row.
    double turn() const { return dn * d - n * dd; }

    // True if positions fall along the row.
    template <PixelKind kKind>
    bool falls() const {
        return (kKind == PixelKind::kParallel ? dn : turn()) < 0;
    }

    // The least n² + d² of pixels 0 to `last`.
    double least_square(double last) const {
        const double speed = dn * dn + dd * dd;
        const double foot = speed > 0 ? -(n * dn + d * dd) / speed : 0;
        const double k = clamp(foot, 0.0, last);
        const double along = n + k * dn, ahead = d + k * dd;
        return along * along + ahead * ahead;
    }
};

// An upper bound of |∂position/∂k| for pixels 0 to `last`; infinite where there may be none.
template <PixelKind kKind>
inline double steepest(const Along& at, const PixelTile& tile, double last) {
    if constexpr (kKind == PixelKind::kParallel) {
        return fabs(at.dn);
    } else if constexpr (kKind == PixelKind::kFlat) {
        const double least_d = at.dd < 0 ? at.d + last * at.dd : at.d;
        return least_d > kLeastAhead ? fabs(at.turn()) / (least_d * least_d) : INFINITY;
    } else {
        const double square = at.least_square(last);
        const double angle = square > 0 ? fabs(at.turn()) / square : INFINITY;
        return 0.5 * kGroup * angle < kMostTangent / 2 ? angle * tile.rate : INFINITY;
    }
}

// atan(t) for |t| <= kMostTangent, by its series.
template <typename T>
inline Value<T> small_arc_tangent(Value<T> t) {
    constexpr int kTerms = sizeof(T) == 4 ? 7 : 14;
    const Value<T> square = t * t;
    Value<T> sum{};
    for (int term = kTerms - 1; term >= 0; --term) {
        const double sign = term % 2 ? -1 : 1;
        sum = sum * square + static_cast<T>(sign / (2 * term + 1));
    }
    return sum * t;
}

// A group of kCount pixels, from pixel k on.
template <typename T, PixelKind kKind, ptrdiff_t kCount>
struct Group {
    int32_t base;
    T rest, q, r, weight, rate;

    Group(const Along& at, const PixelTile& tile, const PixelView& view, ptrdiff_t k) {
        constexpr double kMiddle = 0.5 * static_cast<double>(kCount - 1);
        const double middle = static_cast<double>(k) + kMiddle;
        const double n = at.n + middle * at.dn, d = at.d + middle * at.dd;
        double position = n, slope = at.dn, ratio = 0, share = view.scale;
        if constexpr (kKind == PixelKind::kFlat) {
            const double inverse = 1 / d;
            position = n * inverse;
            slope = (at.dn - position * at.dd) * inverse;
            ratio = at.dd * inverse;
            share *= inverse * inverse;
        } else if constexpr (kKind == PixelKind::kArc) {
            const double inverse = 1 / (n * n + d * d);
            position = tile.rate * atan2(n, d);
            slope = (at.dn * d - n * at.dd) * inverse;
            ratio = (n * at.dn + d * at.dd) * inverse;
            share *= inverse;
        }
        position = clamp(position + view.offset, -kFarAway, kFarAway);
        const double down = __builtin_floor(position);
        base = static_cast<int32_t>(down);
        rest = static_cast<T>(position - down);
        q = static_cast<T>(slope);
        r = static_cast<T>(ratio);
        weight = static_cast<T>(share);
        rate = static_cast<T>(tile.rate);
    }

    // Positions, relative to base, and weights of the vector that starts at pixel k of the group.
    void place(ptrdiff_t k, Value<T>& position, Value<T>& weights) const {
        constexpr T kMiddle = static_cast<T>(kCount - 1) / 2;
        const Value<T> l = lanes<T>() + (static_cast<T>(k) - kMiddle);
        if constexpr (kKind == PixelKind::kParallel) {
            position = q * l + rest;
            weights = all(weight);
        } else {
            const Value<T> inverse = T(1) / (r * l + T(1));
            const Value<T> tangent = q * l * inverse;
            if constexpr (kKind == PixelKind::kFlat) {
                position = tangent + rest;
                weights = weight * inverse * inverse;
            } else {
                position = rate * small_arc_tangent<T>(tangent) + rest;
                weights = weight * inverse * inverse / (tangent * tangent + T(1));
            }
        }
    }
};

// Of one pixel: the lower of two neighbours, from -2 to `end`, how far beyond it, and the weight.
struct PixelPlace {
    int32_t lower;
    double fraction, weight;

    PixelPlace(const Along& at, const PixelTile& tile, const PixelView& view, double k, double end) {
        const double n = at.n + k * at.dn, d = at.d + k * at.dd;
        double position = n;
        weight = view.scale;
        if (tile.kind == PixelKind::kFlat) {
            position = n / d;
            weight /= d * d;
        } else if (tile.kind == PixelKind::kArc) {
            position = tile.rate * atan2(n, d);
            weight /= n * n + d * d;
        }
        position = clamp(position + view.offset, -2.0, end) + 2;
        lower = static_cast<int32_t>(position);
        fraction = position - static_cast<double>(lower);
        lower -= 2;
    }
};

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
