// Which compiled kernels run.
#pragma once

#include "pixels/kernels.hpp"
#include "ray2d/kernels.hpp"
#include "ray3d/kernels.hpp"
#include "voxels/kernels.hpp"

namespace joseph {

template <typename T>
const Kernels<T>& chosen_kernels();

template <typename T>
const VolumeKernels<T>& chosen_volume_kernels();

template <typename T>
const VoxelKernels<T>& chosen_voxel_kernels();

template <typename T>
const PixelKernels<T>& chosen_pixel_kernels();

}  // namespace joseph
