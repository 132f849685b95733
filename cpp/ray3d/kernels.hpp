// What of the three-dimensional transform is compiled once per instruction set; see ray2d/kernels.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace joseph {

inline constexpr std::ptrdiff_t kSteps = 8;    // slices of a block
inline constexpr std::ptrdiff_t kMargin = 64;  // zeros around what a window may read
inline constexpr std::ptrdiff_t kCombMargin = 48;
inline constexpr int kMostRays = 256;              // of a comb
inline constexpr std::ptrdiff_t kRound = 16;  // lines are filled up to multiples of it

// The rays of a line of detector pixels that cross every slice on a line of voxels, equally spaced:
// in slice i ray n is `start + lean * i` lines and `origin + tilt * i + n * (pitch + spread * i)`
// voxels along the line. The distance of neighbours is positive in slices [first, last), outside of
// which the rays miss the volume.
struct Comb {
    double start, lean;
    double origin, tilt;
    double pitch, spread;
    double across, voxel;  // length² per slice without, and mm per voxel, along the lines
    std::int32_t first, last;
    std::int32_t count;     // at most kMostRays
    std::size_t pixel;      // of ray 0 in the data
    std::ptrdiff_t stride;  // from one ray to the next
};

// A volume as slices of lines. Lines are `length` voxels long, rounded up to kRound with zeros.
template <typename T>
struct Brick {
    T* origin;
    T* blank;  // a line that stands for those outside of the volume
    std::ptrdiff_t slices, lines, length;
    std::ptrdiff_t slice_stride, line_stride;
};

// A volume seen along the main axis of some rays: slices of n[0] by n[1] voxels.
template <typename T>
struct Slices {
    T* origin;
    std::ptrdiff_t count, n[2];
    std::ptrdiff_t stride, strides[2];
};

// Rays with a common main axis: in slice i at intercept[k] + slope[k] * i of axis k.
struct RayList {
    const double* intercept[2];
    const double* slope[2];
    const double* weight;      // mm per slice
    const std::size_t* pixel;  // in the data
    std::ptrdiff_t count;
};

template <typename T>
struct VolumeKernels {
    // Adds to sums[c * stride + n] what ray n of comb c finds in slices [first, last), at
    // most kSteps.
    // `scratch`: 2 kSteps lines, each with kMargin zeros on either side.
    void (*sample)(const Brick<const T>& brick, const Comb* combs, std::ptrdiff_t count,
                   std::ptrdiff_t first, std::ptrdiff_t last, T* sums, std::ptrdiff_t stride,
                   T* scratch);
    // Adds data column c, already times the weights, to slices [first, last) of the brick, at
    // most kSteps. Columns have kCombMargin zeros on either side.
    void (*smear)(const Brick<T>& brick, const Comb* combs, std::ptrdiff_t count,
                  std::ptrdiff_t first, std::ptrdiff_t last, const T* columns,
                  std::ptrdiff_t stride);
    // values[n] *= length of ray n per slice.
    void (*weigh)(const Comb& comb, T* values);
    // data[pixel] = line integral.
    void (*project)(const Slices<const T>& volume, const RayList& rays, T* data);
    // Adds to slices [first, first + steps) of the volume; steps <= kSteps.
    void (*backproject)(const Slices<T>& volume, const RayList& rays, std::ptrdiff_t first,
                        std::ptrdiff_t steps, const T* data);
};

namespace portable {
template <typename T>
const VolumeKernels<T>& volume_kernels();
}
namespace avx2 {
template <typename T>
const VolumeKernels<T>& volume_kernels();
}
namespace avx512 {
template <typename T>
const VolumeKernels<T>& volume_kernels();
}

}  // namespace joseph
