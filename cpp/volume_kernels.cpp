// Compiled once per instruction set, with JOSEPH_ISA naming the namespace.
//
// Both directions take their weights from the same whole numbers: see volume_words.hpp.
#include "volume_kernels.hpp"

#include "volume_vector.hpp"

#include "volume_rays.hpp"
#include "volume_words.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kBatch = 8;  // vectors whose positions are computed together
// Voxels by which positions in double precision may differ from those in words, and more.
constexpr double kSlack = 1e-4;

template <typename T>
inline T* line_of(const Brick<T>& brick, ptrdiff_t slice, int32_t line) {
    if (line < 0 || line >= brick.lines) return brick.blank;
    return brick.origin + slice * brick.slice_stride + line * brick.line_stride;
}

// Vectors [begin, end) of a line that hold the voxels from floor(low) to floor(high).
struct Span {
    ptrdiff_t begin, end;

    Span(double low, double high, ptrdiff_t length, ptrdiff_t width) {
        const double right = static_cast<double>(length);
        begin = static_cast<int32_t>(clamp(low, 0.0, right)) / width;
        end = (static_cast<int32_t>(clamp(high + 1, 0.0, right)) + width - 1) / width;
    }
};

// Forward: rays in vectors of kWidth, in the slices of a block. `place` is where the first ray of a
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

// Positions of the rays of a vector, seen from the first of them, in each slice: voxel `apart` and the
// rest of it.
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

// Adjoint: voxels in vectors of kWidth. Each takes the rays around it that may be nearer than a voxel.
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

// Of kBatch vectors of voxels: a ray, how far from it the first one of the middle voxel is, and where
// it is, seen from one voxel before the first.
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

// Rays before a voxel weigh as many units as they are beyond z - 1, those behind it 1 minus as many as
// they are beyond z: what the forward transform takes from both. One may be on either side if there
// are three.
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

template <typename T>
void weigh(const Comb& comb, T* values) {
    for (int32_t n = 0; n < comb.count; ++n) {
        const double rise = (comb.tilt + comb.spread * n) * comb.voxel;
        values[n] *= static_cast<T>(__builtin_sqrt(comb.across + rise * rise));
    }
}

}  // namespace

template <typename T>
const VolumeKernels<T>& volume_kernels() {
    static constexpr VolumeKernels<T> table = {sample<T>, smear<T>, weigh<T>, project<T>,
                                               backproject<T>};
    return table;
}

template const VolumeKernels<float>& volume_kernels();
template const VolumeKernels<double>& volume_kernels();

}  // namespace JOSEPH_ISA
}  // namespace joseph
