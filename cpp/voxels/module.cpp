#include "voxels/module.hpp"

#include <nanobind/ndarray.h>

#include <stdexcept>

#include "voxels/voxels.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace joseph {
namespace {

template <typename T>
using Stack = nb::ndarray<T, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Views = nb::ndarray<const double, nb::shape<-1, 4>, nb::c_contig, nb::device::cpu>;
using Placement = nb::ndarray<const double, nb::shape<6>, nb::c_contig, nb::device::cpu>;

// `placement`: dy, dx, row, column, rise, bottom of VoxelScan.
template <typename Tensor1, typename Tensor2>
VoxelScan voxel_scan_of(const Tensor1& stack, const Tensor2& volume, const Views& views,
                                const Placement& placement) {
    if (stack.shape(0) != views.shape(0) || stack.shape(2) != volume.shape(0) ||
        stack.shape(1) < 3 || stack.shape(3) < 3) {
        throw std::invalid_argument(
            "stack (angles, columns, batch, rows), volume (batch, nz, ny, nx) and views "
            "(angles, 4) disagree");
    }
    const auto size = [](auto n) { return static_cast<std::ptrdiff_t>(n); };
    const double* p = placement.data();
    return {views.data(),
            stack.shape(0),
            size(stack.shape(3)),
            size(stack.shape(1)),
            {size(volume.shape(1)), size(volume.shape(2)), size(volume.shape(3))},
            p[0],
            p[1],
            p[2],
            p[3],
            p[4],
            p[5]};
}

template <typename T>
void gather(Stack<const T> stack, Stack<T> volume, Views views, Placement placement,
                   unsigned threads) {
    const auto scan = voxel_scan_of(stack, volume, views, placement);
    const nb::gil_scoped_release release;
    joseph::gather_voxels(stack.data(), volume.data(), volume.shape(0), scan, threads);
}

template <typename T>
void scatter(Stack<const T> volume, Stack<T> stack, Views views, Placement placement,
                    unsigned threads) {
    const auto scan = voxel_scan_of(stack, volume, views, placement);
    const nb::gil_scoped_release release;
    joseph::scatter_voxels(volume.data(), stack.data(), volume.shape(0), scan, threads);
}

template <typename T>
void bind(nb::module_& module) {
    module.def("gather_voxels", &gather<T>, "stack"_a.noconvert(), "volume"_a.noconvert(),
               "views"_a.noconvert(), "placement"_a.noconvert(), "threads"_a);
    module.def("scatter_voxels", &scatter<T>, "volume"_a.noconvert(), "stack"_a.noconvert(),
               "views"_a.noconvert(), "placement"_a.noconvert(), "threads"_a);
}

}  // namespace

void bind_voxels(nb::module_& module) {
    bind<float>(module);
    bind<double>(module);
}

}  // namespace joseph
