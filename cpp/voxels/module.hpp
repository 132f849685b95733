// The bindings of the voxel-driven backprojection.
#pragma once

#include <nanobind/nanobind.h>

namespace joseph {

void bind_voxels(nanobind::module_& module);

}  // namespace joseph
