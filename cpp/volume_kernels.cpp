// Compiled once per instruction set, with JOSEPH_ISA naming the namespace.
//
// A position along a line of voxels is a whole number, found in double precision for a vector of
// rays (forward) or voxels (adjoint), and a rest of at most half a window, in which single
// precision resolves 1e-6 voxels. Weights are continuous in the position: rounding errors of the
// two directions do not matter, even where they fall on either side of a voxel.
#include "volume_kernels.hpp"

#include "volume_vector.hpp"

#include "volume_rays.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kBatch = 8;  // vectors whose positions are computed together

// Where a comb crosses the slices of a block: between two lines, and along them.
template <typename T>
struct Crossings {
    int32_t line[kSteps];
    T fraction[kSteps];
    double origin[kSteps], pitch[kSteps];

    void set(const Comb& comb, ptrdiff_t first) {
        for (ptrdiff_t k = 0; k < kSteps; k += kDoubles) {
            const Value<double> slice = lanes<double>() + static_cast<double>(first + k);
            Index<double> whole;
            Value<double> rest;
            split(comb.start + comb.lean * slice, whole, rest);
            store(line + k, whole);
            store_rounded(fraction + k, rest);
            store(origin + k, comb.origin + comb.tilt * slice);
            store(pitch + k, comb.pitch + comb.spread * slice);
        }
    }
    double ray(ptrdiff_t k, double n) const { return origin[k] + pitch[k] * n; }
};

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

// Forward: rays in vectors of kWidth, in the slices of a block.
template <typename T>
struct Tracks {
    int32_t base[kBatch];
    T offset[kBatch];  // of the middle of the vector, in the first slice
    T step[kBatch];    // from slice to slice

    // `last` is the last slice, counted from the first.
    void set(const Crossings<T>& at, ptrdiff_t last, const Comb& comb, ptrdiff_t first) {
        constexpr double kWidth = Pack<T>::kWidth, kFar = 1e9;
        for (ptrdiff_t j = 0; j < kBatch; j += kDoubles) {
            const Value<double> ray =
                (lanes<double>() + static_cast<double>(first + j)) * kWidth + 0.5 * (kWidth - 1);
            const Value<double> start = at.origin[0] + at.pitch[0] * ray;
            const Value<double> end = at.origin[last] + at.pitch[last] * ray;
            const Value<double> middle = 0.5 * (start + end) + 0.5;
            Index<double> whole;
            Value<double> rest;
            split(least(most(middle, Value<double>{} - kFar), Value<double>{} + kFar), whole, rest);
            store(base + j, whole);
            store_rounded(offset + j, start - __builtin_convertvector(whole, Value<double>));
            store_rounded(step + j, comb.tilt + comb.spread * ray);
        }
    }
};

// Slices of a block, each blended into one line between two margins.
template <typename T>
struct Blended {
    const T* origin;
    ptrdiff_t stride, steps, length;
};

// kCount is the number of slices, or 0 where it is not known.
template <typename T, ptrdiff_t kCount>
inline Value<T> in_window(const Blended<T>& lines, int32_t base, Value<T> offset, Value<T> step) {
    Value<T> total = {}, slopes = {};
    const T* line = lines.origin + base;
    const ptrdiff_t steps = kCount > 0 ? kCount : lines.steps;
#pragma GCC unroll 8
    for (ptrdiff_t k = 0; k < steps; ++k) {
        const Value<T> position = step * static_cast<T>(k) + offset;
        Index<T> whole;
        Value<T> fraction;
        split(position, whole, fraction);
        const Window<T> window(line);
        const Value<T> left = window[whole];
        total += left;
        slopes += fraction * (window[whole + 1] - left);
        line += lines.stride;
    }
    return total + slopes;
}

// The same where the rays are so far apart that a window does not hold them.
template <typename T>
inline Value<T> at_large(const Blended<T>& lines, int32_t base, Value<T> offset, Value<T> step) {
    Value<T> total = {};
    const Index<T> low = Index<T>{} - 2, high = low + static_cast<int32_t>(lines.length + 2);
    for (ptrdiff_t k = 0; k < lines.steps; ++k) {
        const Value<T> position = step * static_cast<T>(k) + offset;
        Index<T> whole;
        Value<T> fraction;
        split(position, whole, fraction);
        whole += base;
        whole = whole < low ? low : whole;
        whole = whole > high ? high : whole;
        const T* line = lines.origin + k * lines.stride;
        const Value<T> left = gather(line, whole), right = gather(line, whole + 1);
        total += left + fraction * (right - left);
    }
    return total;
}

template <typename T>
inline void blend(const T* here, const T* next, T fraction, Span span, T* line) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    for (ptrdiff_t z = span.begin * kWidth; z < span.end * kWidth; z += kWidth) {
        const Value<T> value = load<Value<T>>(here + z);
        store(line + z, value + fraction * (load<Value<T>>(next + z) - value));
    }
}

// A comb in a block of slices, blended.
template <typename T>
class Blend {
public:
    // False if all rays miss the lines.
    bool set(const Brick<const T>& brick, const Comb& comb, ptrdiff_t from, ptrdiff_t to,
             T* scratch) {
        comb_ = &comb;
        at_.set(comb, from);
        bottom_ = to - from - 1;
        vectors_ = (comb.count + kWidth - 1) / kWidth;
        const double end = static_cast<double>(vectors_ * kWidth);
        const double length = static_cast<double>(brick.length);
        const double low = least(at_.origin[0], at_.origin[bottom_]);
        const double high = most(at_.ray(0, end), at_.ray(bottom_, end));
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
        if (half_ >= static_cast<double>(kWidth) - 1.6) {
            add(sums, [](auto... parts) { return at_large<T>(parts...); });
        } else if (lines_.steps == kSteps) {
            add(sums, [](auto... parts) { return in_window<T, kSteps>(parts...); });
        } else if (lines_.steps == kSteps / 2) {
            add(sums, [](auto... parts) { return in_window<T, kSteps / 2>(parts...); });
        } else {
            add(sums, [](auto... parts) { return in_window<T, 0>(parts...); });
        }
    }

private:
    static constexpr ptrdiff_t kWidth = Pack<T>::kWidth;

    template <typename Find>
    void add(T* sums, const Find& find) const {
        const int32_t lowest = static_cast<int32_t>(-half_) - 2;
        const int32_t highest =
            static_cast<int32_t>(static_cast<double>(lines_.length) + half_) + 2;
        const Value<T> offsets = centred_lanes<T>() * static_cast<T>(at_.pitch[0]);
        const Value<T> steps = centred_lanes<T>() * static_cast<T>(comb_->spread);
        Tracks<T> tracks;
        for (ptrdiff_t start = 0; start < vectors_; start += kBatch) {
            tracks.set(at_, bottom_, *comb_, start);
            for (ptrdiff_t j = 0; j < least(kBatch, vectors_ - start); ++j) {
                if (tracks.base[j] < lowest || tracks.base[j] > highest) continue;
                T* sum = sums + (start + j) * kWidth;
                store(sum, load<Value<T>>(sum) + find(lines_, tracks.base[j],
                                                      offsets + tracks.offset[j],
                                                      steps + tracks.step[j]));
            }
        }
    }

    const Comb* comb_;
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

// Adjoint: voxels in vectors of kWidth. For each of them the first ray beyond z - 1, and as many
// more as may be before z + 1, of weight 1 - |z of the ray - z|.
constexpr int kMostTaps = 4;

inline int taps_of(double pitch) { return pitch >= 1 ? 2 : 3 * pitch >= 2 ? 3 : kMostTaps; }

// The slices of a block that a comb meets.
template <typename T>
struct Strips {
    T* here[kSteps];
    T* next[kSteps];
    T fraction[kSteps];
    T pitch[kSteps], inverse[kSteps];
    int taps[kSteps];
    double origin[kSteps], per_voxel[kSteps];
    ptrdiff_t begin[kSteps], end[kSteps];  // vectors
    ptrdiff_t count = 0, first = 0, last = 0;

    Strips(const Brick<T>& brick, const Comb& comb, ptrdiff_t from, ptrdiff_t to) {
        Crossings<T> at;
        at.set(comb, from);
        const double right = static_cast<double>(brick.length - 1);
        for (ptrdiff_t k = 0; k < to - from; ++k) {
            const double low = at.origin[k] - 1, high = at.ray(k, comb.count - 1) + 1;
            if (!(high > 0 && low < right)) continue;
            const Span span(low, high, brick.length, Pack<T>::kWidth);
            here[count] = line_of(brick, from + k, at.line[k]);
            next[count] = line_of(brick, from + k, at.line[k] + 1);
            fraction[count] = at.fraction[k];
            origin[count] = at.origin[k];
            per_voxel[count] = 1 / at.pitch[k];
            pitch[count] = static_cast<T>(at.pitch[k]);
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

// Of kBatch vectors of voxels: a ray and how far from it the first one of the middle voxel is.
template <typename T>
struct Tines {
    int32_t base[kBatch];
    T local[kBatch];

    void set(double origin, double per_voxel, int taps, ptrdiff_t first) {
        constexpr double kWidth = Pack<T>::kWidth;
        const double shift = taps - 1.0;  // to the middle of the window, so that it holds all taps
        for (ptrdiff_t j = 0; j < kBatch; j += kDoubles) {
            const Value<double> z =
                (lanes<double>() + static_cast<double>(first + j)) * kWidth + 0.5 * (kWidth - 1);
            const Value<double> ray = (z - 1 - origin) * per_voxel;
            Index<double> whole;
            Value<double> rest;
            split(ray + shift, whole, rest);
            store(base + j, whole);
            store_rounded(local + j, rest - shift);
        }
    }
};

// Σ of the taps; `beyond` is how far the first ray is beyond z - 1.
template <typename T, int kTaps>
inline Value<T> tapped(const T* column, Index<T> ray, Value<T> beyond, T pitch) {
    const Window<T> window(column);
    const Value<T> zero = {};
    if (kTaps == 2) {
        const Value<T> w0 = most(zero, least(beyond, 2 - beyond));
        const Value<T> w1 = most(zero, (2 - pitch) - beyond);
        return w0 * window[ray] + w1 * window[ray + 1];
    }
    const Value<T> w1 = least(beyond + pitch, (2 - pitch) - beyond);
    const Value<T> w2 = most(zero, (2 - 2 * pitch) - beyond);
    Value<T> sum = beyond * window[ray] + w1 * window[ray + 1] + w2 * window[ray + 2];
    if (kTaps == 4) sum += most(zero, (2 - 3 * pitch) - beyond) * window[ray + 3];
    return sum;
}

template <typename T, int kTaps>
inline void smear_strip(const Strips<T>& strips, ptrdiff_t k, const Tines<T>& tines,
                        ptrdiff_t start, const T* column) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    const T pitch = strips.pitch[k], fraction = strips.fraction[k], rest = 1 - fraction;
    const Value<T> steps = centred_lanes<T>() * strips.inverse[k];
    T* here = strips.here[k] + start * kWidth;
    T* next = strips.next[k] + start * kWidth;
    const ptrdiff_t end = least(strips.end[k] - start, kBatch);
    for (ptrdiff_t j = most<ptrdiff_t>(strips.begin[k] - start, 0); j < end; ++j) {
        Index<T> ray;
        Value<T> behind;
        split_up(steps + tines.local[j], ray, behind);
        const Value<T> sum = tapped<T, kTaps>(column + tines.base[j], ray, behind * -pitch, pitch);
        store(here + j * kWidth, load<Value<T>>(here + j * kWidth) + rest * sum);
        store(next + j * kWidth, load<Value<T>>(next + j * kWidth) + fraction * sum);
    }
}

template <typename T>
void smear_comb(const Brick<T>& brick, const Comb& comb, ptrdiff_t from, ptrdiff_t to,
                const T* column) {
    const Strips<T> strips(brick, comb, from, to);
    Tines<T> tines[kSteps];
    for (ptrdiff_t start = strips.first; start < strips.last; start += kBatch) {
        for (ptrdiff_t k = 0; k < strips.count; ++k) {
            tines[k].set(strips.origin[k], strips.per_voxel[k], strips.taps[k], start);
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
