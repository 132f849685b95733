// Positions of rays as whole numbers: both directions take their weights from the same ones, bit for
// bit, because a pixel that rays only graze has weights as small as one likes. In columns, with as
// many bits of fraction as the mantissa of T, modulo the rest of the word. In row i ray d is at
//     parallel: round(step d) + round(intercept + slope i),
//     fan: anchor + (i - middle of the stretch) round(slope),
// where a stretch has kStretch rows, because rounded slopes show after a few, and its anchor is
// round(position in the middle row of the image) + round(rows from there slope).
// Everything has internal linkage: see ray2d/kernels.hpp.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ray2d/kernels.hpp"

namespace joseph {
namespace {

constexpr ptrdiff_t kStretch = 16;
constexpr double kFarAway = 1e9;  // columns; whole numbers of them fit into 32 bits

constexpr ptrdiff_t middle_of_stretch(ptrdiff_t row) {
    return row / kStretch * kStretch + kStretch / 2;
}

// For |x| < 2^30.
inline int32_t round_down(double x) {
    const int32_t near = static_cast<int32_t>(x + (1 << 30)) - (1 << 30);
    return near - (static_cast<double>(near) > x ? 1 : 0);
}

// whole + part / 2^kFraction, where `part` may round up to one column.
template <typename T>
struct Fixed {
    using Scalar = typename Bits<T>::Signed;
    using Word = typename Bits<T>::Unsigned;
    static constexpr int kFraction = Bits<T>::kFraction;
    int32_t whole;
    Word part;

    static Fixed of(double x) {
        constexpr double unit = static_cast<double>(int64_t{1} << kFraction);
        const int32_t below = round_down(x);
        const double above = x - static_cast<double>(below);
        return {below, static_cast<Word>(static_cast<Scalar>(above * unit + 0.5))};
    }
    static Word columns(ptrdiff_t count) { return static_cast<Word>(count) << kFraction; }
    Word word() const { return columns(whole) + part; }
};

template <typename T>
typename Bits<T>::Unsigned fixed_slope(double slope) {
    constexpr double unit = static_cast<double>(int64_t{1} << Bits<T>::kSlope);
    const double scaled = slope * unit;
    return static_cast<typename Bits<T>::Unsigned>(
        static_cast<typename Bits<T>::Signed>(scaled + (scaled < 0 ? -0.5 : 0.5)));
}

// Of one ray of a fan, `rows` below the middle row of the image.
template <typename T>
typename Bits<T>::Unsigned anchor(typename Bits<T>::Unsigned place,
                                  typename Bits<T>::Unsigned slope, ptrdiff_t rows) {
    using Word = typename Bits<T>::Unsigned;
    constexpr int more = Bits<T>::kSlope - Bits<T>::kFraction;
    constexpr int64_t half = (int64_t{1} << more) >> 1;
    const auto signed_slope = static_cast<typename Bits<T>::Signed>(slope);
    const uint64_t product =
        static_cast<uint64_t>(int64_t{signed_slope}) * static_cast<uint64_t>(rows);
    return place + static_cast<Word>(static_cast<int64_t>(product + half) >> more);
}

// Per row, of one ray of a fan.
template <typename T>
typename Bits<T>::Unsigned step_of(typename Bits<T>::Unsigned slope) {
    return anchor<T>(0, slope, 1);
}

// Where one ray is in a row.
template <typename T>
struct Crossing {
    ptrdiff_t left;  // the column
    T fraction;      // of the way to the next

    // False if the ray is not near the columns [0, columns).
    static bool find(const View& view, const Rays<T>& rays, ptrdiff_t d, ptrdiff_t row,
                     ptrdiff_t columns, Crossing* to) {
        using F = Fixed<T>;
        using Word = typename F::Word;
        const double i = static_cast<double>(row), n = static_cast<double>(d);
        const double across = view.fan ? 0 : view.step * n;
        const double x = view.fan ? view.intercepts[d] + view.slopes[d] * i
                                  : view.intercept + view.slope * i + across;
        if (!(x > -2.0 && x < static_cast<double>(columns + 1))) return false;
        Word word;
        if (!view.regular) {
            word = F::of(x).word();
        } else if (!view.fan) {
            word = F::of(across).word() + F::of(view.intercept + view.slope * i).word();
        } else {
            const ptrdiff_t middle = middle_of_stretch(row);
            word = anchor<T>(rays.place[d], rays.slope[d], middle - rays.middle) +
                   static_cast<Word>(row - middle) * step_of<T>(rays.slope[d]);
        }
        const int32_t near = round_down(x);
        const auto beyond = static_cast<typename F::Scalar>(word - F::columns(near));
        constexpr Word mask = (Word{1} << F::kFraction) - 1;
        constexpr T unit = 1 / static_cast<T>(int64_t{1} << F::kFraction);
        to->left = near + static_cast<ptrdiff_t>(beyond >> F::kFraction);
        to->fraction = static_cast<T>(static_cast<Word>(beyond) & mask) * unit;
        return to->left >= -1 && to->left < columns;
    }
};

}  // namespace
}  // namespace joseph
