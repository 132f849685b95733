// What of the voxel-driven backprojection is compiled once per instruction set; see ray2d/kernels.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace joseph {

inline constexpr std::ptrdiff_t kLineMargin = 64;  // zeros on either side of a scratch line
inline constexpr std::ptrdiff_t kVoxelRound = 16;  // columns of voxels are filled up to multiples

// Where the voxels above a pixel (x, y) meet a panel: between two of its columns, and along these
// at first + step * k for voxel k, step > 0. The ends of the columns are zero, as is all beyond.
template <typename T>
struct VoxelTap {
    T* columns[2];
    T shares[2];
    double first, step;
};

template <typename T>
struct VoxelKernels {
    // totals[k] += what voxel k < count finds in columns of `height`; count is rounded up to
    // kVoxelRound. `line`: `height` numbers to write to, between margins.
    void (*gather)(const VoxelTap<T>& tap, std::ptrdiff_t height, std::ptrdiff_t count, T* line,
                   T* totals);
    // The transpose: adds to the columns, but for what falls on their ends. `line` is zero before
    // and after.
    void (*scatter)(const VoxelTap<T>& tap, std::ptrdiff_t height, std::ptrdiff_t count, T* line,
                    const T* values);
};

namespace portable {
template <typename T>
const VoxelKernels<T>& voxel_kernels();
}
namespace avx2 {
template <typename T>
const VoxelKernels<T>& voxel_kernels();
}
namespace avx512 {
template <typename T>
const VoxelKernels<T>& voxel_kernels();
}

}  // namespace joseph
