// Compiled once per instruction set, with JOSEPH_ISA naming the namespace.
//
// Both directions take their weights from the same whole numbers: see ray3d/words.hpp.
#include "ray3d/kernels.hpp"

#include "ray3d/rays.hpp"
#include "ray3d/sample.hpp"
#include "ray3d/smear.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

template <typename T>
void weigh(const Comb& comb, T* values) {
    for (int32_t n = 0; n < comb.count; ++n) {
        const double rise = (comb.tilt + comb.spread * n) * comb.voxel;
        values[n] *= static_cast<T>(__builtin_sqrt(comb.across + rise * rise));
    }
}

}  // namespace

template <typename T>
const VolumeKernels<T>& volume_kernels() {
    static constexpr VolumeKernels<T> table = {sample<T>, smear<T>, weigh<T>, project<T>,
                                               backproject<T>};
    return table;
}

template const VolumeKernels<float>& volume_kernels();
template const VolumeKernels<double>& volume_kernels();

}  // namespace JOSEPH_ISA
}  // namespace joseph
