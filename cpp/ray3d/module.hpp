// The three-dimensional transform in the extension.
#pragma once

#include <nanobind/nanobind.h>

namespace joseph {

void bind_volumes(nanobind::module_& module);

}  // namespace joseph
