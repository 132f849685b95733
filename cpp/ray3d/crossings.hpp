// What both directions know of a comb in a block of slices, part of ray3d/kernels.cpp.
#pragma once

#include "ray3d/kernels.hpp"
#include "window.hpp"
#include "ray3d/words.hpp"

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

// Where a comb crosses the slices of a block: between two lines, and along them.
template <typename T>
struct Crossings {
    using Word = typename Position<T>::Word;
    int32_t line[kSteps];
    T fraction[kSteps];
    double origin[kSteps], pitch[kSteps];
    Word place[kSteps], step[kSteps];  // of ray 0, and from ray to ray

    void set(const Comb& comb, ptrdiff_t first) {
        using P = Position<T>;
        const ptrdiff_t middle = comb.count / 2;
        for (ptrdiff_t k = 0; k < kSteps; k += kDoubles) {
            const Value<double> slice = lanes<double>() + static_cast<double>(first + k);
            Index<double> whole;
            Value<double> rest;
            split(comb.start + comb.lean * slice, whole, rest);
            store(line + k, whole);
            store_rounded(fraction + k, rest);
            const Value<double> begin = comb.origin + comb.tilt * slice;
            const Value<double> distance = comb.pitch + comb.spread * slice;
            store(origin + k, begin);
            store(pitch + k, distance);
            const auto steps = P::of(distance);
            const auto there = P::of(begin + distance * static_cast<double>(middle));
            store(step + k, steps);
            store(place + k, there - steps * static_cast<Word>(middle));
        }
    }
    double ray(ptrdiff_t k, double n) const { return origin[k] + pitch[k] * n; }
};

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
