// Which compiled kernels run.
#pragma once

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

}  // namespace joseph
