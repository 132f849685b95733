// Compiled once per instruction set, with JOSEPH_ISA naming the namespace.
//
// A position along a line of voxels is a whole number, found in double precision for a vector of
// rays (forward) or voxels (adjoint), and a rest of at most half a window, in which single
// precision resolves 1e-6 voxels. Weights are continuous in the position: rounding errors of the two
// directions do not matter, even where they fall on either side of a voxel.
#include "volume_kernels.hpp"

#include "volume_vector.hpp"

#include "volume_rays.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kBatch = 8;  // vectors whose positions are computed together

// Where a comb crosses a slice: between two lines, and along them.
template <typename T>
struct Crossing {
    T* here;
    T* next;
    RemoveConst<T> fraction;
    double origin, pitch;

    Crossing(const Brick<T>& brick, const Comb& comb, ptrdiff_t slice) {
        const double step = static_cast<double>(slice);
        const double position = comb.start + comb.lean * step;
        const double down = __builtin_floor(position);
        const ptrdiff_t line = static_cast<ptrdiff_t>(down);
        fraction = static_cast<RemoveConst<T>>(position - down);
        here = line_of(brick, slice, line);
        next = line_of(brick, slice, line + 1);
        origin = comb.origin + comb.tilt * step;
        pitch = comb.pitch + comb.spread * step;
    }
    double ray(double n) const { return origin + pitch * n; }

    static T* line_of(const Brick<T>& brick, ptrdiff_t slice, ptrdiff_t line) {
        if (line < 0 || line >= brick.lines) return brick.blank;
        return brick.origin + slice * brick.slice_stride + line * brick.line_stride;
    }
};

// Vectors [begin, end) of a line that hold the voxels from floor(low) to floor(high).
struct Span {
    ptrdiff_t begin, end;

    Span(double low, double high, ptrdiff_t length, ptrdiff_t width) {
        const double right = static_cast<double>(length);
        begin = static_cast<ptrdiff_t>(clamp(low, 0.0, right)) / width;
        end = (static_cast<ptrdiff_t>(clamp(high + 1, 0.0, right)) + width - 1) / width;
    }
};

// Forward: rays in vectors of kWidth, in the slices of a block.
template <typename T>
struct Tracks {
    int32_t base[kBatch];
    T offset[kBatch];  // of the middle of the vector, in the first slice
    T step[kBatch];    // from slice to slice

    void set(const Crossing<const T>& top, const Crossing<const T>& bottom, const Comb& comb,
             ptrdiff_t first) {
        constexpr double kFar = 1e9;
        for (ptrdiff_t j = 0; j < kBatch; ++j) {
            const double n = static_cast<double>((first + j) * Pack<T>::kWidth) +
                             0.5 * static_cast<double>(Pack<T>::kWidth - 1);
            const double start = top.ray(n);
            const double middle = 0.5 * (start + bottom.ray(n));
            const double whole = __builtin_nearbyint(clamp(middle, -kFar, kFar));
            base[j] = static_cast<int32_t>(whole);
            offset[j] = static_cast<T>(start - whole);
            step[j] = static_cast<T>(comb.tilt + comb.spread * n);
        }
    }
};

// Slices of a block, each blended into one line between two margins.
template <typename T>
struct Blended {
    const T* origin;
    ptrdiff_t stride, steps, length;
};

template <typename T>
inline Value<T> in_window(const Blended<T>& lines, int32_t base, Value<T> offset, Value<T> step) {
    Value<T> total = {}, slopes = {};
    const T* line = lines.origin + base;
    for (ptrdiff_t k = 0; k < lines.steps; ++k) {
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
inline void blend(const Crossing<const T>& crossing, Span span, T* line) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    for (ptrdiff_t z = span.begin * kWidth; z < span.end * kWidth; z += kWidth) {
        const Value<T> here = load<Value<T>>(crossing.here + z);
        const Value<T> next = load<Value<T>>(crossing.next + z);
        store(line + z, here + crossing.fraction * (next - here));
    }
}

template <typename T>
void sample_comb(const Brick<const T>& brick, const Comb& comb, ptrdiff_t first, ptrdiff_t last,
                 T* sums, T* scratch) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    const Crossing<const T> top(brick, comb, first), bottom(brick, comb, last - 1);
    const ptrdiff_t vectors = (comb.count + kWidth - 1) / kWidth;
    const double end = static_cast<double>(vectors * kWidth);
    const double length = static_cast<double>(brick.length);
    const double low = least(top.origin, bottom.origin);
    const double high = most(top.ray(end), bottom.ray(end));
    if (!(high > -1 && low < length)) return;

    const Span span(low, high + 1, brick.length, kWidth);
    const ptrdiff_t filled = (brick.length + kRound - 1) / kRound * kRound;
    const Blended<T> lines{scratch + kMargin, filled + 2 * kMargin, last - first, brick.length};
    for (ptrdiff_t slice = first; slice < last; ++slice) {
        blend(Crossing<const T>(brick, comb, slice), span,
              scratch + kMargin + (slice - first) * lines.stride);
    }
    const double shift = most(__builtin_fabs(top.origin - bottom.origin),
                              __builtin_fabs(top.ray(end) - bottom.ray(end)));
    const double half = 0.5 * shift + 0.5 * static_cast<double>(kWidth - 1) *
                                          most(top.pitch, bottom.pitch);
    const bool near = half < static_cast<double>(kWidth) - 1.6;
    const int32_t lowest = static_cast<int32_t>(-half) - 2;
    const int32_t highest = static_cast<int32_t>(length + half) + 2;
    const Value<T> lanes = centred_lanes<T>();
    const Value<T> offsets = lanes * static_cast<T>(top.pitch);
    const Value<T> steps = lanes * static_cast<T>(comb.spread);
    Tracks<T> tracks;
    for (ptrdiff_t start = 0; start < vectors; start += kBatch) {
        tracks.set(top, bottom, comb, start);
        for (ptrdiff_t j = 0; j < least(kBatch, vectors - start); ++j) {
            const int32_t base = tracks.base[j];
            if (base < lowest || base > highest) continue;
            const Value<T> offset = offsets + tracks.offset[j], step = steps + tracks.step[j];
            T* sum = sums + (start + j) * kWidth;
            const Value<T> found = near ? in_window<T>(lines, base, offset, step)
                                        : at_large<T>(lines, base, offset, step);
            store(sum, load<Value<T>>(sum) + found);
        }
    }
}

template <typename T>
void sample(const Brick<const T>& brick, const Comb* combs, ptrdiff_t count, ptrdiff_t first,
            T* sums, ptrdiff_t stride, T* scratch) {
    for (ptrdiff_t c = 0; c < count; ++c) {
        const ptrdiff_t from = most<ptrdiff_t>(first, combs[c].first);
        const ptrdiff_t to = least<ptrdiff_t>(first + kSteps, combs[c].last);
        if (from < to) sample_comb(brick, combs[c], from, to, sums + c * stride, scratch);
    }
}

// Adjoint: voxels in vectors of kWidth; for each of them the first ray beyond z - 1 and kTaps - 1
// more, of weight 1 - |z of the ray - z|.
template <typename T, int kTaps>
struct Tines {
    int32_t base[kBatch];
    T local[kBatch];

    void set(const Crossing<T>& crossing, double inverse, ptrdiff_t first, int32_t count) {
        constexpr double kShift = kTaps - 1.5;  // middle of the window, so that it holds all taps
        const double right = static_cast<double>(count + kCombMargin / 2);
        for (ptrdiff_t j = 0; j < kBatch; ++j) {
            const double z = static_cast<double>((first + j) * Pack<T>::kWidth) +
                             0.5 * static_cast<double>(Pack<T>::kWidth - 1);
            const double ray = (z - 1 - crossing.origin) * inverse;
            const double whole = __builtin_nearbyint(
                clamp(ray + kShift, -0.5 * static_cast<double>(kCombMargin), right));
            base[j] = static_cast<int32_t>(whole);
            local[j] = static_cast<T>(ray - whole);
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
void smear_slice(const Crossing<T>& crossing, Span span, int32_t count, const T* column) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    const double inverse = 1 / crossing.pitch;
    const T pitch = static_cast<T>(crossing.pitch);
    const T fraction = crossing.fraction, rest = 1 - fraction;
    const Value<T> lanes = centred_lanes<T>() * static_cast<T>(inverse);
    Tines<T, kTaps> tines;
    for (ptrdiff_t start = span.begin; start < span.end; start += kBatch) {
        tines.set(crossing, inverse, start, count);
        for (ptrdiff_t j = 0; j < least(kBatch, span.end - start); ++j) {
            Index<T> ray;
            Value<T> behind;
            split_up(lanes + tines.local[j], ray, behind);
            const Value<T> sum =
                tapped<T, kTaps>(column + tines.base[j], ray, behind * -pitch, pitch);
            T* here = crossing.here + (start + j) * kWidth;
            T* next = crossing.next + (start + j) * kWidth;
            store(here, load<Value<T>>(here) + rest * sum);
            store(next, load<Value<T>>(next) + fraction * sum);
        }
    }
}

template <typename T>
void smear(const Brick<T>& brick, const Comb* combs, ptrdiff_t count, ptrdiff_t first,
           ptrdiff_t last, const T* columns, ptrdiff_t stride) {
    for (ptrdiff_t c = 0; c < count; ++c) {
        const Comb& comb = combs[c];
        const ptrdiff_t from = most<ptrdiff_t>(first, comb.first);
        const ptrdiff_t to = least<ptrdiff_t>(last, comb.last);
        for (ptrdiff_t slice = from; slice < to; ++slice) {
            const Crossing<T> crossing(brick, comb, slice);
            const double low = crossing.origin - 1, high = crossing.ray(comb.count - 1) + 1;
            const Span span(low, high, brick.length, Pack<T>::kWidth);
            const T* column = columns + c * stride;
            if (crossing.pitch >= 1) {
                smear_slice<T, 2>(crossing, span, comb.count, column);
            } else if (3 * crossing.pitch >= 2) {
                smear_slice<T, 3>(crossing, span, comb.count, column);
            } else {
                smear_slice<T, 4>(crossing, span, comb.count, column);
            }
        }
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
