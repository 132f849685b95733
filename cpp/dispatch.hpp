// Which compiled kernels run.
#pragma once

#include "kernels.hpp"
#include "volume_kernels.hpp"

namespace joseph {

template <typename T>
const Kernels<T>& chosen_kernels();

template <typename T>
const VolumeKernels<T>& chosen_volume_kernels();

}  // namespace joseph
