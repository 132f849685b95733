// Forward of combs, part of ray3d/kernels.cpp.
#pragma once

#include "ray3d/crossings.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// Rays in vectors of kWidth, in the slices of a block. `place` is where the first ray of a
// vector is in each of them, seen from voxel `base`.
template <typename T>
struct Tracks {
    using P = Position<T>;
    int32_t base[kBatch];
    typename P::Word place[kSteps][kBatch];

    // `last` is the last slice, counted from the first.
    void set(const Crossings<T>& at, ptrdiff_t last, ptrdiff_t first) {
        constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
        constexpr double kLanes = kWidth, kFar = 1e9;
        for (ptrdiff_t j = 0; j < kBatch; j += kDoubles) {
            const Value<double> vector = lanes<double>() + static_cast<double>(first + j);
            const Value<double> ray = vector * kLanes + 0.5 * (kLanes - 1);
            const Value<double> start = at.origin[0] + at.pitch[0] * ray;
            const Value<double> end = at.origin[last] + at.pitch[last] * ray;
            const Value<double> middle = 0.5 * (start + end) + 0.5;
            Index<double> whole;
            Value<double> rest;
            split(least(most(middle, Value<double>{} - kFar), Value<double>{} + kFar), whole, rest);
            store(base + j, whole);
            const auto rays = P::nearest(vector * kLanes);
            const auto seen = P::nearest(__builtin_convertvector(whole, Value<double>)) << P::kBits;
            for (ptrdiff_t k = 0; k <= last; ++k) {
                store(place[k] + j, rays * at.step[k] + at.place[k] - seen);
            }
        }
    }
};

// Slices of a block, each blended into one line between two margins.
template <typename T>
struct Blended {
    const T* origin;
    ptrdiff_t stride, steps, length;
};

// Positions of the rays of a vector, seen from the first of them, in each slice: voxel `apart` and
// the rest of it.
template <typename T>
struct Spreads {
    Words<T> slice[kSteps];
    Index<T> apart[kSteps];

    Spreads(const Crossings<T>& at, bool large) {
        const auto ray = __builtin_convertvector(lanes<T>(), Words<T>);
        for (ptrdiff_t k = 0; k < kSteps; ++k) {
            slice[k] = ray * at.step[k];
            if (!large) continue;
            Value<T> rest;
            const Value<T> voxels = centred_lanes<T>() * static_cast<T>(at.pitch[k]);
            split(voxels, apart[k], rest);
            slice[k] -= word_of<T>(apart[k], voxels - rest) << Position<T>::kBits;
        }
    }
};

// kCount is the number of slices, or 0 where it is not known.
template <typename T, ptrdiff_t kCount>
inline Value<T> in_window(const Blended<T>& lines, const Spreads<T>& spreads,
                          const Tracks<T>& tracks, ptrdiff_t j) {
    Value<T> lefts = {}, rights = {};
    const Value<T> one = Value<T>{} + static_cast<T>(Position<T>::kOne);
    const T* line = lines.origin + tracks.base[j];
    const ptrdiff_t steps = kCount > 0 ? kCount : lines.steps;
#pragma GCC unroll 8
    for (ptrdiff_t k = 0; k < steps; ++k) {
        const Words<T> position = spreads.slice[k] + tracks.place[k][j];
        const Lanes<T> whole = whole_of<T>(position);
        const Window<T> window(line);
        const Value<T> units = fraction_of<T>(position);
        lefts = fused(one - units, window[whole], lefts);
        rights = fused(units, window[whole + 1], rights);
        line += lines.stride;
    }
    return (lefts + rights) * Position<T>::kUnit;
}

// The same where the rays are so far apart that a window does not hold them.
template <typename T>
inline Value<T> at_large(const Blended<T>& lines, const Spreads<T>& spreads,
                         const Tracks<T>& tracks, ptrdiff_t j) {
    Value<T> lefts = {}, rights = {};
    const Value<T> one = Value<T>{} + static_cast<T>(Position<T>::kOne);
    const Index<T> low = Index<T>{} - 2, high = low + static_cast<int32_t>(lines.length + 2);
    for (ptrdiff_t k = 0; k < lines.steps; ++k) {
        const Words<T> position = spreads.slice[k] + tracks.place[k][j];
        Index<T> whole = __builtin_convertvector(whole_of<T>(position), Index<T>);
        whole += spreads.apart[k] + tracks.base[j];
        whole = whole < low ? low : whole;
        whole = whole > high ? high : whole;
        const T* line = lines.origin + k * lines.stride;
        const Value<T> units = fraction_of<T>(position);
        lefts = fused(one - units, gather(line, whole), lefts);
        rights = fused(units, gather(line, whole + 1), rights);
    }
    return (lefts + rights) * Position<T>::kUnit;
}

template <typename T>
inline void blend(const T* here, const T* next, T fraction, Span span, T* line) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    const Value<T> rest = Value<T>{} + (1 - fraction);
    for (ptrdiff_t z = span.begin * kWidth; z < span.end * kWidth; z += kWidth) {
        const Value<T> beyond = fraction * load<Value<T>>(next + z);
        store(line + z, fused(rest, load<Value<T>>(here + z), beyond));
    }
}

// A comb in a block of slices, blended.
template <typename T>
class Blend {
public:
    // False if all rays miss the lines.
    bool set(const Brick<const T>& brick, const Comb& comb, ptrdiff_t from, ptrdiff_t to,
             T* scratch) {
        at_.set(comb, from);
        bottom_ = to - from - 1;
        vectors_ = (comb.count + kWidth - 1) / kWidth;
        const double end = static_cast<double>(vectors_ * kWidth);
        const double length = static_cast<double>(brick.length);
        const double low = least(at_.origin[0], at_.origin[bottom_]) - kSlack;
        const double high = most(at_.ray(0, end), at_.ray(bottom_, end)) + kSlack;
        if (!(high > -1 && low < length)) return false;
        const ptrdiff_t filled = (brick.length + kRound - 1) / kRound * kRound;
        lines_ = {scratch + kMargin, filled + 2 * kMargin, bottom_ + 1, brick.length};
        const Span span(low, high + 1, brick.length, kWidth);
        for (ptrdiff_t k = 0; k <= bottom_; ++k) {
            blend(line_of(brick, from + k, at_.line[k]), line_of(brick, from + k, at_.line[k] + 1),
                  at_.fraction[k], span, scratch + kMargin + k * lines_.stride);
        }
        const double shift = most(__builtin_fabs(at_.origin[0] - at_.origin[bottom_]),
                                  __builtin_fabs(at_.ray(0, end) - at_.ray(bottom_, end)));
        half_ = 0.5 * shift +
                0.5 * static_cast<double>(kWidth - 1) * most(at_.pitch[0], at_.pitch[bottom_]);
        return true;
    }

    void add_to(T* sums) const {
        if (large()) {
            add(sums, [](const auto&... parts) { return at_large<T>(parts...); });
        } else if (lines_.steps == kSteps) {
            add(sums, [](const auto&... parts) { return in_window<T, kSteps>(parts...); });
        } else if (lines_.steps == kSteps / 2) {
            add(sums, [](const auto&... parts) { return in_window<T, kSteps / 2>(parts...); });
        } else {
            add(sums, [](const auto&... parts) { return in_window<T, 0>(parts...); });
        }
    }

private:
    static constexpr ptrdiff_t kWidth = Pack<T>::kWidth;

    bool large() const { return half_ >= static_cast<double>(kWidth) - 1.6; }

    template <typename Find>
    void add(T* sums, const Find& find) const {
        const int32_t lowest = static_cast<int32_t>(-half_) - 2;
        const int32_t highest =
            static_cast<int32_t>(static_cast<double>(lines_.length) + half_) + 2;
        const Spreads<T> spreads(at_, large());
        Tracks<T> tracks;
        for (ptrdiff_t start = 0; start < vectors_; start += kBatch) {
            tracks.set(at_, bottom_, start);
            for (ptrdiff_t j = 0; j < least(kBatch, vectors_ - start); ++j) {
                if (tracks.base[j] < lowest || tracks.base[j] > highest) continue;
                T* sum = sums + (start + j) * kWidth;
                store(sum, load<Value<T>>(sum) + find(lines_, spreads, tracks, j));
            }
        }
    }

    Crossings<T> at_;
    ptrdiff_t bottom_, vectors_;
    Blended<T> lines_;
    double half_;
};

// A comb is blended while the one before it is sampled: what has just been stored is slow to load.
template <typename T>
void sample(const Brick<const T>& brick, const Comb* combs, ptrdiff_t count, ptrdiff_t first,
            ptrdiff_t last, T* sums, ptrdiff_t stride, T* scratch) {
    const ptrdiff_t filled = (brick.length + kRound - 1) / kRound * kRound;
    Blend<T> blends[2];
    T* waiting = nullptr;
    int turn = 0;
    for (ptrdiff_t c = 0; c < count; ++c) {
        const ptrdiff_t from = most<ptrdiff_t>(first, combs[c].first);
        const ptrdiff_t to = least<ptrdiff_t>(last, combs[c].last);
        T* own = scratch + turn * kSteps * (filled + 2 * kMargin);
        if (from >= to || !blends[turn].set(brick, combs[c], from, to, own)) continue;
        turn = 1 - turn;
        if (waiting) blends[turn].add_to(waiting);
        waiting = sums + c * stride;
    }
    if (waiting) blends[1 - turn].add_to(waiting);
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
