// Compiled once per instruction set, with JOSEPH_ISA naming the namespace.
//
// The two columns are blended into a line that stays in the first-level cache; a vector of voxels
// finds its neighbours in a window of the line. Weights are continuous in the position, so that the
// two directions need not round alike.
#include "voxels/kernels.hpp"

#include "window.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// Of one voxel: the lower of two neighbours, from -2 to `end`, and how far beyond it.
struct Place {
    int32_t lower;
    double fraction;

    template <typename T>
    Place(const VoxelTap<T>& tap, ptrdiff_t k, double end) {
        const double step = tap.step * static_cast<double>(static_cast<int32_t>(k));
        const double position = clamp(tap.first + step, -2.0, end) + 2;
        lower = static_cast<int32_t>(position);
        fraction = position - static_cast<double>(lower);
        lower -= 2;
    }
};

// Positions of the vector of voxels that starts at k: base + rest + step * centred_lanes.
template <typename T>
struct Stretch {
    int32_t base;
    T rest;

    Stretch(const VoxelTap<T>& tap, ptrdiff_t k) {
        constexpr double kFar = 1e9;
        const double lane = static_cast<double>(k) + 0.5 * (Pack<T>::kWidth - 1);
        const double middle = tap.first + tap.step * lane;
        const double down = __builtin_floor(clamp(middle, -kFar, kFar));
        base = static_cast<int32_t>(down);
        rest = static_cast<T>(middle - down);
    }
};

template <typename T>
void in_windows(const VoxelTap<T>& tap, ptrdiff_t height, ptrdiff_t count, const T* line,
                T* __restrict totals) {
    constexpr auto kWidth = static_cast<int32_t>(Pack<T>::kWidth);
    const Value<T> steps = static_cast<T>(tap.step) * centred_lanes<T>();
    for (ptrdiff_t k = 0; k < count; k += kWidth) {
        const Stretch<T> at(tap, k);
        if (at.base < -kWidth || at.base > height + kWidth) continue;
        Index<T> whole;
        Value<T> fraction;
        split(steps + at.rest, whole, fraction);
        const Window<T> window(line + at.base);
        const Value<T> below = window[whole];
        const Value<T> found = below + fraction * (window[whole + 1] - below);
        store(totals + k, load<Value<T>>(totals + k) + found);
    }
}

// The same where a window does not hold a vector of voxels.
template <typename T>
void at_large(const VoxelTap<T>& tap, ptrdiff_t height, ptrdiff_t count, const T* line,
              T* __restrict totals) {
    const Index<T> low = Index<T>{} - 2, high = low + static_cast<int32_t>(height + 2);
    const Value<T> steps = static_cast<T>(tap.step) * centred_lanes<T>();
    const Value<T> far = Value<T>{} + static_cast<T>(1e8);
    for (ptrdiff_t k = 0; k < count; k += Pack<T>::kWidth) {
        const Stretch<T> at(tap, k);
        Index<T> whole;
        Value<T> fraction;
        split(least(most(steps + at.rest, -far), far), whole, fraction);
        whole += at.base;
        whole = whole < low ? low : whole;
        whole = whole > high ? high : whole;
        const Value<T> below = gather(line, whole), above = gather(line, whole + 1);
        store(totals + k, load<Value<T>>(totals + k) + below + fraction * (above - below));
    }
}

// The same without look-ups of many numbers at once.
template <typename T>
void one_by_one(const VoxelTap<T>& tap, ptrdiff_t height, ptrdiff_t count, const T* line,
                T* __restrict totals) {
    const double end = static_cast<double>(height);
    for (ptrdiff_t k = 0; k < count; ++k) {
        const Place place(tap, k, end);
        const T below = line[place.lower], above = line[place.lower + 1];
        totals[k] += below + static_cast<T>(place.fraction) * (above - below);
    }
}

template <typename T>
void gather_column(const VoxelTap<T>& tap, ptrdiff_t height, ptrdiff_t count, T* __restrict line,
                   T* __restrict totals) {
    const T *left = tap.columns[0], *right = tap.columns[1];
    const T share = tap.shares[0], other = tap.shares[1];
    for (ptrdiff_t i = 0; i < height; ++i) line[i] = share * left[i] + other * right[i];
#if defined(__AVX2__)
    constexpr bool kLookUps = true;
#else
    constexpr bool kLookUps = false;
#endif
    constexpr double kWidth = Pack<T>::kWidth;
    if (!kLookUps) {
        one_by_one(tap, height, count, line, totals);
    } else if (0.5 * (kWidth - 1) * tap.step < kWidth - 2.6) {
        in_windows(tap, height, count, line, totals);
    } else {
        at_large(tap, height, count, line, totals);
    }
}

template <typename T>
void scatter_column(const VoxelTap<T>& tap, ptrdiff_t height, ptrdiff_t count, T* __restrict line,
                    const T* __restrict values) {
    const double end = static_cast<double>(height);
    for (ptrdiff_t k = 0; k < count; ++k) {
        const Place place(tap, k, end);
        const T above = static_cast<T>(place.fraction) * values[k];
        line[place.lower] += values[k] - above;
        line[place.lower + 1] += above;
    }
    for (int side = 0; side < 2; ++side) {
        const T share = tap.shares[side];
        T* __restrict column = tap.columns[side];
        for (ptrdiff_t i = 0; i < height; ++i) column[i] += share * line[i];
    }
    for (ptrdiff_t i = -2; i < height + 2; ++i) line[i] = 0;
}

}  // namespace

template <typename T>
const VoxelKernels<T>& voxel_kernels() {
    static const VoxelKernels<T> table{gather_column<T>, scatter_column<T>};
    return table;
}

template const VoxelKernels<float>& voxel_kernels();
template const VoxelKernels<double>& voxel_kernels();

}  // namespace JOSEPH_ISA
}  // namespace joseph
