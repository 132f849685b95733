// Rays of any direction, part of ray3d/kernels.cpp: kWidth of them walk side by side.
#pragma once

#include "ray3d/kernels.hpp"
#include "window.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// Two neighbouring voxels along an axis, and their weights: zero outside of the volume.
template <typename T>
struct Pair {
    Index<T> index[2];
    Value<T> weight[2];
};

// Positions of kWidth rays along one axis in a block of slices: base + (offset + step * k), where
// the bracket is within [0, kSteps + 1]. Rays that are outside in the whole block are held there.
template <typename T>
struct Path {
    static constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    Index<T> base;
    Value<T> offset, step;
    Index<T> size;

    // False if all rays are outside.
    bool set(const double* intercept, const double* slope, ptrdiff_t first, ptrdiff_t n) {
        constexpr double kMiss = -static_cast<double>(kSteps) - 2;
        // A voxel behind the last, so that none of the block rounds to a touch.
        const double right = static_cast<double>(n + 1), start = static_cast<double>(first);
        int32_t whole[kWidth];
        T rest[kWidth], tilt[kWidth];
        int missed = 0;
        for (ptrdiff_t lane = 0; lane < kWidth; ++lane) {
            const double along = slope[lane];
            const double back = along < 0 ? -along * static_cast<double>(kSteps - 1) : 0.0;
            const double lowest = intercept[lane] + along * start - back;
            const double held = clamp(lowest, kMiss, right);
            whole[lane] = static_cast<int32_t>(held - kMiss) + static_cast<int32_t>(kMiss);
            rest[lane] = static_cast<T>(held - static_cast<double>(whole[lane]) + back);
            tilt[lane] = static_cast<T>(along);
            missed += held == kMiss || held == right;
        }
        base = load<Index<T>>(whole);
        offset = load<Value<T>>(rest);
        step = load<Value<T>>(tilt);
        size = Index<T>{} + static_cast<int32_t>(n);
        return missed < kWidth;
    }

    Pair<T> at(ptrdiff_t k) const {
        Index<T> whole;
        Value<T> fraction;
        split(step * static_cast<T>(k) + offset, whole, fraction);
        const Index<T> left = base + whole, right = left + 1, zero = {}, end = size - 1;
        Pair<T> pair;
        pair.weight[0] = inside(left) ? 1 - fraction : Value<T>{};
        pair.weight[1] = inside(right) ? fraction : Value<T>{};
        pair.index[0] = left < zero ? zero : (left > end ? end : left);
        pair.index[1] = right < zero ? zero : (right > end ? end : right);
        return pair;
    }

private:
    // As wide as the numbers, so that it selects among them.
    auto inside(Index<T> index) const {
        const Index<T> mask = (index >= Index<T>{}) & (index < size);
        return __builtin_convertvector(mask, decltype(Value<T>{} < Value<T>{}));
    }
};

// A vector of rays out of a list; the last one repeats its last ray.
struct Bundle {
    double intercept[2][kVectorBytes / 4], slope[2][kVectorBytes / 4];
    ptrdiff_t valid;

    Bundle(const RayList& rays, ptrdiff_t first, ptrdiff_t width) {
        valid = least(width, rays.count - first);
        for (int axis = 0; axis < 2; ++axis) {
            for (ptrdiff_t lane = 0; lane < width; ++lane) {
                const ptrdiff_t ray = first + least(lane, valid - 1);
                intercept[axis][lane] = rays.intercept[axis][ray];
                slope[axis][lane] = rays.slope[axis][ray];
            }
        }
    }
};

template <typename T>
inline Value<T> interpolate(const T* slice, const ptrdiff_t* strides, const Pair<T>& a,
                            const Pair<T>& b) {
    const auto stride_a = static_cast<int32_t>(strides[0]);
    const auto stride_b = static_cast<int32_t>(strides[1]);
    Value<T> sum = {};
    for (int i = 0; i < 2; ++i) {
        const Index<T> row = a.index[i] * stride_a;
        const Value<T> right = b.weight[1] * gather(slice, row + b.index[1] * stride_b);
        const Value<T> line = fused(b.weight[0], gather(slice, row + b.index[0] * stride_b), right);
        sum = fused(a.weight[i], line, sum);
    }
    return sum;
}

template <typename T>
void project(const Slices<const T>& volume, const RayList& rays, T* data) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    Path<T> a, b;
    for (ptrdiff_t ray = 0; ray < rays.count; ray += kWidth) {
        const Bundle bundle(rays, ray, kWidth);
        Value<T> sum = {};
        for (ptrdiff_t first = 0; first < volume.count; first += kSteps) {
            const bool hits =
                a.set(bundle.intercept[0], bundle.slope[0], first, volume.n[0]) &&
                b.set(bundle.intercept[1], bundle.slope[1], first, volume.n[1]);
            if (!hits) continue;
            for (ptrdiff_t k = 0; k < least(kSteps, volume.count - first); ++k) {
                const T* slice = volume.origin + (first + k) * volume.stride;
                sum += interpolate<T>(slice, volume.strides, a.at(k), b.at(k));
            }
        }
        for (ptrdiff_t lane = 0; lane < bundle.valid; ++lane) {
            data[rays.pixel[ray + lane]] = sum[lane] * static_cast<T>(rays.weight[ray + lane]);
        }
    }
}

template <typename T>
void scatter(T* slice, const ptrdiff_t* strides, const Pair<T>& a, const Pair<T>& b,
             Value<T> values, ptrdiff_t valid) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    const auto stride_a = static_cast<int32_t>(strides[0]);
    const auto stride_b = static_cast<int32_t>(strides[1]);
    int32_t voxel[4][kWidth];
    T value[4][kWidth];
    for (int i = 0; i < 4; ++i) {
        store(voxel[i], a.index[i / 2] * stride_a + b.index[i % 2] * stride_b);
        store(value[i], a.weight[i / 2] * b.weight[i % 2] * values);
    }
    for (ptrdiff_t lane = 0; lane < valid; ++lane) {
        for (int i = 0; i < 4; ++i) slice[voxel[i][lane]] += value[i][lane];
    }
}

template <typename T>
void backproject(const Slices<T>& volume, const RayList& rays, ptrdiff_t first, ptrdiff_t steps,
                 const T* data) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    Path<T> a, b;
    for (ptrdiff_t ray = 0; ray < rays.count; ray += kWidth) {
        const Bundle bundle(rays, ray, kWidth);
        const bool hits = a.set(bundle.intercept[0], bundle.slope[0], first, volume.n[0]) &&
                          b.set(bundle.intercept[1], bundle.slope[1], first, volume.n[1]);
        if (!hits) continue;
        Value<T> values = {};
        for (ptrdiff_t lane = 0; lane < bundle.valid; ++lane) {
            values[lane] = data[rays.pixel[ray + lane]] * static_cast<T>(rays.weight[ray + lane]);
        }
        for (ptrdiff_t k = 0; k < steps; ++k) {
            scatter<T>(volume.origin + (first + k) * volume.stride, volume.strides, a.at(k),
                       b.at(k), values, bundle.valid);
        }
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
