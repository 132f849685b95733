// Compiled once per instruction set, with JOSEPH_ISA naming the namespace.
//
// A forward kernel and its adjoint compute positions by the same expressions. Where a compiler
// fuses a multiplication and an addition in one of them only, weights differ by a rounding error
// and no more, because linear interpolation is continuous in the position.
#include "kernels.hpp"

#include "gather.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kChunk = 256;  // rays whose working set stays in the first-level cache
constexpr ptrdiff_t kSpare = 16;   // a vector of rays may reach beyond the last one

inline float madd(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

inline double madd(double a, double b, double c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

template <typename T>
inline T least(T a, T b) {
    return a < b ? a : b;
}

// NaN becomes `low`, so that what is converted to an integer afterwards is always in its range.
template <typename T>
inline T clamp(T value, T low, T high) {
    const T raised = value > low ? value : low;
    return raised > high ? high : raised;
}

// Positions of up to kChunk rays in kBlock rows: base + (offset + step * r), where the bracket is
// within [0, kBlock], so that single precision resolves it to 1e-6 pixels. The base is computed in
// double precision. Where a ray misses the sheet in all these rows, its base is held at a place
// from which it stays on the frame.
template <typename T>
struct Block {
    int32_t base[kChunk + kSpare];
    T offset[kChunk + kSpare];
    T step[kChunk + kSpare];
    ptrdiff_t begin, end;  // rays outside of it miss the sheet

    void set(const Rays& rays, ptrdiff_t first_ray, ptrdiff_t count, ptrdiff_t row,
             ptrdiff_t columns) {
        constexpr double kMiss = -static_cast<double>(kFrame);
        const double* intercept = rays.intercept + first_ray;
        const double* slope = rays.slope + first_ray;
        const double start = static_cast<double>(row);
        const double right = static_cast<double>(columns);
        for (ptrdiff_t d = 0; d < count; ++d) {
            const double tilt = slope[d];
            const double last = tilt < 0.0 ? static_cast<double>(kBlock - 1) : 0.0;
            const double lowest = madd(tilt, start + last, intercept[d]);
            const double held = clamp(lowest, kMiss, right);
            const int32_t whole = static_cast<int32_t>(held - kMiss) - kFrame;
            const double value = madd(-tilt, last, held - static_cast<double>(whole));
            base[d] = whole;
            offset[d] = static_cast<T>(value);
            step[d] = static_cast<T>(tilt);
        }
        for (ptrdiff_t d = count; d < count + kSpare; ++d) {
            base[d] = static_cast<int32_t>(-kFrame);
            offset[d] = step[d] = 0;
        }
        begin = 0;
        end = count;
        while (begin < end && misses(begin, columns)) ++begin;
        while (begin < end && misses(end - 1, columns)) --end;
    }

private:
    bool misses(ptrdiff_t d, ptrdiff_t columns) const {
        return base[d] <= -kFrame || base[d] >= columns;
    }
};

// Adds to sum[0..width) what the rays from `ray` on find in `rows` rows.
template <typename T>
inline void walk(const Block<T>& block, ptrdiff_t ray, const T* pixels, ptrdiff_t stride,
                 ptrdiff_t rows, T* sum) {
    using Value = typename Pack<T>::Value;
    using Index = typename Pack<T>::Index;
    const Index base = load<Index>(block.base + ray);
    const Value offset = load<Value>(block.offset + ray);
    const Value step = load<Value>(block.step + ray);
    Value total = load<Value>(sum);
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const Value position = step * static_cast<T>(r) + offset;
        const Index whole = __builtin_convertvector(position, Index);
        const Value fraction = position - __builtin_convertvector(whole, Value);
        Value left, right;
        gather_pairs<T>(pixels + r * stride, base + whole, left, right);
        total += left + fraction * (right - left);
    }
    store(sum, total);
}

template <typename T>
void project(const T* sheet, Sheet size, Rays rays, T* out) {
    Block<T> block;
    T sum[kChunk + kSpare];
    for (ptrdiff_t first = 0; first < rays.count; first += kChunk) {
        const ptrdiff_t count = least(kChunk, rays.count - first);
        for (ptrdiff_t d = 0; d < count + kSpare; ++d) sum[d] = 0;
        for (ptrdiff_t row = 0; row < size.rows; row += kBlock) {
            block.set(rays, first, count, row, size.columns);
            const T* pixels = sheet + row * size.stride;
            const ptrdiff_t rows = least(kBlock, size.rows - row);
            for (ptrdiff_t d = block.begin; d < block.end; d += Pack<T>::kWidth) {
                walk(block, d, pixels, size.stride, rows, sum + d);
            }
        }
        for (ptrdiff_t d = 0; d < count; ++d) {
            out[first + d] = sum[d] * static_cast<T>(rays.weight[first + d]);
        }
    }
}

template <typename T>
void backproject(T* pairs, Sheet size, ptrdiff_t row, ptrdiff_t rows, Rays rays, const T* data) {
    typedef T Pair __attribute__((vector_size(2 * sizeof(T))));
    Block<T> block;
    T value[kChunk], here[kChunk], next[kChunk];
    int32_t index[kChunk];
    for (ptrdiff_t first = 0; first < rays.count; first += kChunk) {
        const ptrdiff_t count = least(kChunk, rays.count - first);
        block.set(rays, first, count, row, size.columns);
        for (ptrdiff_t d = block.begin; d < block.end; ++d) {
            value[d] = data[first + d] * static_cast<T>(rays.weight[first + d]);
        }
        for (ptrdiff_t r = 0; r < rows; ++r) {
            const T step_number = static_cast<T>(r);
            for (ptrdiff_t d = block.begin; d < block.end; ++d) {
                const T position = madd(block.step[d], step_number, block.offset[d]);
                const int32_t whole = static_cast<int32_t>(position);
                const T fraction = position - static_cast<T>(whole);
                index[d] = block.base[d] + whole;
                next[d] = value[d] * fraction;
                here[d] = value[d] * (1 - fraction);
            }
            Pair* target = reinterpret_cast<Pair*>(pairs) + r * size.stride;
            for (ptrdiff_t d = block.begin; d < block.end; ++d) {
                target[index[d]] += Pair{here[d], next[d]};
            }
        }
    }
}

// kLanes numbers as a few machine vectors.
template <typename T, int kLanes>
struct Lanes {
    static constexpr int kBytes =
        kLanes * static_cast<int>(sizeof(T)) < kVectorBytes ? kLanes * static_cast<int>(sizeof(T))
                                                            : kVectorBytes;
    static constexpr int kWidth = kBytes / static_cast<int>(sizeof(T));
    static constexpr int kCount = kLanes / kWidth;
    typedef T Vector __attribute__((vector_size(kBytes)));
};

// Positions of one ray in a tile of rows, clamped to the frame. False if it misses the tile.
template <typename T>
struct Track {
    int32_t index[kTile];
    T fraction[kTile];

    bool set(double intercept, double slope, ptrdiff_t row, ptrdiff_t columns) {
        const double right = static_cast<double>(columns);
        const double start = madd(slope, static_cast<double>(row), intercept);
        const double stop = madd(slope, static_cast<double>(row + kTile - 1), intercept);
        if (!(start >= -1 || stop >= -1) || !(start <= right || stop <= right)) return false;
        for (ptrdiff_t r = 0; r < kTile; ++r) {
            const double position =
                clamp(madd(slope, static_cast<double>(row + r), intercept), -1.0, right);
            const int32_t above = static_cast<int32_t>(position + 1);
            fraction[r] = static_cast<T>(position - static_cast<double>(above - 1));
            index[r] = above - 1;
        }
        return true;
    }
};

template <typename T, int kLanes>
void project_lanes(const T* sheet, Sheet size, Rays rays, T* out, ptrdiff_t lane_stride,
                   ptrdiff_t valid) {
    using L = Lanes<T, kLanes>;
    using Vector = typename L::Vector;
    Track<T> track;
    for (ptrdiff_t d = 0; d < rays.count; ++d) {
        Vector sum[L::kCount] = {};
        for (ptrdiff_t row = 0; row < size.rows; row += kTile) {
            if (!track.set(rays.intercept[d], rays.slope[d], row, size.columns)) continue;
            const ptrdiff_t rows = least(kTile, size.rows - row);
            for (ptrdiff_t r = 0; r < rows; ++r) {
                const ptrdiff_t pixel = (row + r) * size.stride + track.index[r];
                const Vector* taps = reinterpret_cast<const Vector*>(sheet + pixel * kLanes);
                const T fraction = track.fraction[r];
                for (int v = 0; v < L::kCount; ++v) {
                    sum[v] += (1 - fraction) * taps[v];
                    sum[v] += fraction * taps[v + L::kCount];
                }
            }
        }
        const T weight = static_cast<T>(rays.weight[d]);
        for (ptrdiff_t lane = 0; lane < valid; ++lane) {
            out[lane * lane_stride + d] = weight * sum[lane / L::kWidth][lane % L::kWidth];
        }
    }
}

template <typename T, int kLanes>
void backproject_lanes(T* tile, Sheet size, ptrdiff_t row, ptrdiff_t rows, Rays rays,
                       const T* data) {
    using L = Lanes<T, kLanes>;
    using Vector = typename L::Vector;
    Track<T> track;
    for (ptrdiff_t d = 0; d < rays.count; ++d) {
        if (!track.set(rays.intercept[d], rays.slope[d], row, size.columns)) continue;
        const Vector* source = reinterpret_cast<const Vector*>(data + d * kLanes);
        Vector value[L::kCount];
        for (int v = 0; v < L::kCount; ++v) value[v] = source[v];
        for (ptrdiff_t r = 0; r < rows; ++r) {
            const ptrdiff_t pixel = r * size.stride + track.index[r];
            Vector* taps = reinterpret_cast<Vector*>(tile + pixel * kLanes);
            const T fraction = track.fraction[r];
            for (int v = 0; v < L::kCount; ++v) {
                taps[v] += (1 - fraction) * value[v];
                taps[v + L::kCount] += fraction * value[v];
            }
        }
    }
}

}  // namespace

template <typename T>
const Kernels<T>& kernels() {
    static constexpr Kernels<T> table = {
        project<T>,
        backproject<T>,
        {project_lanes<T, 8>, project_lanes<T, 16>},
        {backproject_lanes<T, 8>, backproject_lanes<T, 16>},
    };
    return table;
}

template const Kernels<float>& kernels();
template const Kernels<double>& kernels();

}  // namespace JOSEPH_ISA
}  // namespace joseph
