// Compiled once per instruction set, with JOSEPH_ISA the name of its namespace.
#include "ray2d/backproject.hpp"
#include "ray2d/kernels.hpp"
#include "ray2d/project.hpp"

namespace joseph {
namespace JOSEPH_ISA {

template <typename T>
const Kernels<T>& kernels() {
    static constexpr Kernels<T> table = {
        fix<T>, project<T>, sizeof(Track<T>), prepare<T>, gather<T>, scatter<T>,
    };
    return table;
}

template const Kernels<float>& kernels();
template const Kernels<double>& kernels();

}  // namespace JOSEPH_ISA
}  // namespace joseph
