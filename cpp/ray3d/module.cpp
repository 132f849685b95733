#include "ray3d/module.hpp"

#include <nanobind/ndarray.h>

#include <stdexcept>

#include "ray3d/volume.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <typename T>
using Volumes = nb::ndarray<T, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Poses = nb::ndarray<const double, nb::shape<-1, 12>, nb::c_contig, nb::device::cpu>;

template <typename Volume, typename Data>
joseph::VolumeGeometry geometry3d_of(const Volume& volume, const Data& data, const Poses& vectors,
                                     bool cone, double dz, double dy, double dx) {
    if (volume.shape(0) != data.shape(0) || vectors.shape(0) != data.shape(1)) {
        throw std::invalid_argument(
            "volume (batch, nz, ny, nx), data (batch, angles, rows, columns) and vectors "
            "(angles, 12) disagree");
    }
    const joseph::VolumeGeometry geometry{vectors.data(),
                                          cone,
                                          data.shape(1),
                                          data.shape(2),
                                          data.shape(3),
                                          {static_cast<std::ptrdiff_t>(volume.shape(1)),
                                           static_cast<std::ptrdiff_t>(volume.shape(2)),
                                           static_cast<std::ptrdiff_t>(volume.shape(3))},
                                          {dz, dy, dx}};
    if (geometry.voxels() >= std::size_t{1} << 31) {
        throw std::invalid_argument("volumes of 2^31 voxels or more are too large: split them");
    }
    return geometry;
}

template <typename T>
void forward3d(Volumes<const T> volume, Volumes<T> data, Poses vectors, bool cone, double dz,
               double dy, double dx, unsigned threads) {
    const auto geometry = geometry3d_of(volume, data, vectors, cone, dz, dy, dx);
    const nb::gil_scoped_release release;
    joseph::forward3d(volume.data(), data.data(), volume.shape(0), geometry, threads);
}

template <typename T>
void adjoint3d(Volumes<const T> data, Volumes<T> volume, Poses vectors, bool cone, double dz,
               double dy, double dx, unsigned threads) {
    const auto geometry = geometry3d_of(volume, data, vectors, cone, dz, dy, dx);
    const nb::gil_scoped_release release;
    joseph::adjoint3d(data.data(), volume.data(), volume.shape(0), geometry, threads);
}

template <typename T>
void bind(nb::module_& module) {
    module.def("forward3d", &forward3d<T>, "volume"_a.noconvert(), "data"_a.noconvert(),
               "vectors"_a.noconvert(), "cone"_a, "dz"_a, "dy"_a, "dx"_a, "threads"_a);
    module.def("adjoint3d", &adjoint3d<T>, "data"_a.noconvert(), "volume"_a.noconvert(),
               "vectors"_a.noconvert(), "cone"_a, "dz"_a, "dy"_a, "dx"_a, "threads"_a);
}

}  // namespace

namespace joseph {

void bind_volumes(nb::module_& module) {
    bind<float>(module);
    bind<double>(module);
}

}  // namespace joseph
