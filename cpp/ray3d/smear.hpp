// Adjoint of combs, part of ray3d/kernels.cpp.
#pragma once

#include "ray3d/crossings.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// Voxels in vectors of kWidth. Each takes the rays around it that may be nearer than a voxel.
// Which ones is found in floating point: with kSlack, none of those left out is.
constexpr int kMostTaps = 4;

inline int taps_of(double pitch) {
    return pitch >= 1 + kSlack ? 2 : 3 * pitch >= 2 + kSlack * 3 ? 3 : kMostTaps;
}

// The slices of a block that a comb meets.
template <typename T>
struct Strips {
    T* here[kSteps];
    T* next[kSteps];
    T fraction[kSteps], inverse[kSteps];
    int taps[kSteps];
    double origin[kSteps], per_voxel[kSteps];
    typename Pack<T>::Word place[kSteps], step[kSteps];
    ptrdiff_t begin[kSteps], end[kSteps];  // vectors
    ptrdiff_t count = 0, first = 0, last = 0;

    Strips(const Brick<T>& brick, const Comb& comb, ptrdiff_t from, ptrdiff_t to) {
        Crossings<T> at;
        at.set(comb, from);
        const double right = static_cast<double>(brick.length - 1);
        for (ptrdiff_t k = 0; k < to - from; ++k) {
            const double low = at.origin[k] - 1 - kSlack;
            const double high = at.ray(k, comb.count - 1) + 1 + kSlack;
            if (!(high > 0 && low < right)) continue;
            const Span span(low, high, brick.length, Pack<T>::kWidth);
            here[count] = line_of(brick, from + k, at.line[k]);
            next[count] = line_of(brick, from + k, at.line[k] + 1);
            fraction[count] = at.fraction[k];
            origin[count] = at.origin[k];
            per_voxel[count] = 1 / at.pitch[k];
            place[count] = at.place[k];
            step[count] = at.step[k];
            inverse[count] = static_cast<T>(per_voxel[count]);
            taps[count] = taps_of(at.pitch[k]);
            begin[count] = span.begin;
            end[count] = span.end;
            first = count == 0 ? span.begin : least(first, span.begin);
            last = most(last, span.end);
            ++count;
        }
    }
};

// Of kBatch vectors of voxels: a ray, how far from it the first one of the middle voxel is, and
// where it is, seen from one voxel before the first.
template <typename T>
struct Tines {
    using P = Position<T>;
    int32_t base[kBatch];
    T local[kBatch];
    typename P::Word place[kBatch];

    void set(const Strips<T>& strips, ptrdiff_t k, ptrdiff_t first) {
        constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
        constexpr double kLanes = kWidth;
        const double half = 0.5 * strips.taps[k];
        for (ptrdiff_t j = 0; j < kBatch; j += kDoubles) {
            const Value<double> vector = lanes<double>() + static_cast<double>(first + j);
            const Value<double> z = vector * kLanes + 0.5 * (kLanes - 1);
            const Value<double> ray = (z - strips.origin[k]) * strips.per_voxel[k];
            Index<double> whole;
            Value<double> rest;
            split(ray + 1, whole, rest);  // the middle of the taps, so that a window holds them
            store(base + j, whole);
            store_rounded(local + j, rest - half);
            const auto rays = P::nearest(ray + 1 - rest);
            const auto seen = P::nearest(vector * kLanes - 1) << P::kBits;
            store(place + j, rays * strips.step[k] + strips.place[k] - seen);
        }
    }
};

// Rays before voxel z weigh as many units as they are beyond z - 1, those behind it 1 minus as many
// as they are beyond z: what the forward transform takes from both. The second of three may be on
// either side.
template <typename T, int kTaps>
struct Taps {
    using P = Position<T>;
    static constexpr int kBefore = kTaps / 2;
    Words<T> behind[kTaps];  // the first ray, and z - 1 or z

    explicit Taps(typename Pack<T>::Word step) {
        for (int tap = 0; tap < kTaps; ++tap) {
            const auto rays = step * static_cast<typename Pack<T>::Word>(tap);
            behind[tap] = Words<T>{} + (tap < kBefore ? rays : rays - P::kOne);
        }
    }

    // Σ in units, beginning with ray `first` of a window, which is at `place`, seen from z - 1.
    Value<T> sum(const Window<T>& window, Lanes<T> first, Words<T> place) const {
        const Value<T> zero = {}, one = zero + static_cast<T>(P::kOne);
        Value<T> total = {};
#pragma GCC unroll 4
        for (int tap = 0; tap < kTaps; ++tap) {
            const Value<T> units = units_of<T>(place + behind[tap]);
            const Value<T> weight = tap < kBefore                ? most(zero, units)
                                    : kTaps == 3 && tap == 1 ? one - magnitude<T>(units)
                                                             : most(zero, one - units);
            total = fused(weight, window[first], total);
            first += 1;
        }
        return total;
    }
};

template <typename T, int kTaps>
inline void smear_strip(const Strips<T>& strips, ptrdiff_t k, const Tines<T>& tines,
                        ptrdiff_t start, const T* column) {
    using P = Position<T>;
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    const Taps<T, kTaps> taps(strips.step[k]);
    const Value<T> fraction = Value<T>{} + strips.fraction[k] * P::kUnit;
    const Value<T> rest = Value<T>{} + (1 - strips.fraction[k]) * P::kUnit;
    const Value<T> steps = centred_lanes<T>() * strips.inverse[k];
    const Words<T> lane = __builtin_convertvector(lanes<T>(), Words<T>) << P::kBits;
    T* here = strips.here[k] + start * kWidth;
    T* next = strips.next[k] + start * kWidth;
    const ptrdiff_t end = least(strips.end[k] - start, kBatch);
    for (ptrdiff_t j = most<ptrdiff_t>(strips.begin[k] - start, 0); j < end; ++j) {
        Index<T> ray;
        Value<T> beyond;
        const Value<T> place = steps + tines.local[j];
        split(place, ray, beyond);
        const Words<T> rays = word_of<T>(ray, place - beyond) * strips.step[k];
        const Value<T> sum = taps.sum(Window<T>(column + tines.base[j]),
                                      __builtin_convertvector(ray, Lanes<T>),
                                      rays - lane + tines.place[j]);
        store(here + j * kWidth, fused(rest, sum, load<Value<T>>(here + j * kWidth)));
        store(next + j * kWidth, fused(fraction, sum, load<Value<T>>(next + j * kWidth)));
    }
}

template <typename T>
void smear_comb(const Brick<T>& brick, const Comb& comb, ptrdiff_t from, ptrdiff_t to,
                const T* column) {
    const Strips<T> strips(brick, comb, from, to);
    Tines<T> tines[kSteps];
    for (ptrdiff_t start = strips.first; start < strips.last; start += kBatch) {
        for (ptrdiff_t k = 0; k < strips.count; ++k) {
            tines[k].set(strips, k, start);
        }
        for (ptrdiff_t k = 0; k < strips.count; ++k) {
            switch (strips.taps[k]) {
                case 2: smear_strip<T, 2>(strips, k, tines[k], start, column); break;
                case 3: smear_strip<T, 3>(strips, k, tines[k], start, column); break;
                default: smear_strip<T, 4>(strips, k, tines[k], start, column);
            }
        }
    }
}

template <typename T>
void smear(const Brick<T>& brick, const Comb* combs, ptrdiff_t count, ptrdiff_t first,
           ptrdiff_t last, const T* columns, ptrdiff_t stride) {
    for (ptrdiff_t c = 0; c < count; ++c) {
        const ptrdiff_t from = most<ptrdiff_t>(first, combs[c].first);
        const ptrdiff_t to = least<ptrdiff_t>(last, combs[c].last);
        if (from < to) smear_comb(brick, combs[c], from, to, columns + c * stride);
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
