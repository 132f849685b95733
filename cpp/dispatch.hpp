// Which compiled kernels run.
#pragma once

#include "kernels.hpp"
#include "volume_kernels.hpp"
#include "voxel_kernels.hpp"

namespace joseph {

template <typename T>
const Kernels<T>& chosen_kernels();

template <typename T>
const VolumeKernels<T>& chosen_volume_kernels();

template <typename T>
const VoxelKernels<T>& chosen_voxel_kernels();

}  // namespace joseph
