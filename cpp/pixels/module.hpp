// The bindings of the pixel-driven backprojection.
#pragma once

#include <nanobind/nanobind.h>

namespace joseph {

void bind_pixels(nanobind::module_& module);

}  // namespace joseph
