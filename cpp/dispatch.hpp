// Which compiled kernels run.
#pragma once

#include "kernels.hpp"

namespace joseph {

template <typename T>
const Kernels<T>& chosen_kernels();

}  // namespace joseph
