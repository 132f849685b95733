#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "pixels/module.hpp"
#include "ray2d/joseph.hpp"
#include "ray2d/moments.hpp"
#include "ray3d/module.hpp"
#include "voxels/module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <typename T>
using Array3 = nb::ndarray<T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Vectors = nb::ndarray<const double, nb::shape<-1, 6>, nb::c_contig, nb::device::cpu>;

template <typename Image, typename Data>
joseph::Geometry geometry_of(const Image& image, const Data& data, const Vectors& vectors, bool fan,
                             double dy, double dx) {
    if (image.shape(0) != data.shape(0) || vectors.shape(0) != data.shape(1)) {
        throw std::invalid_argument(
            "image (batch, ny, nx), data (batch, angles, detectors) and vectors (angles, 6) "
            "disagree");
    }
    return {vectors.data(),
            fan,
            data.shape(1),
            data.shape(2),
            static_cast<std::ptrdiff_t>(image.shape(1)),
            static_cast<std::ptrdiff_t>(image.shape(2)),
            dy,
            dx};
}

template <typename T>
void forward(Array3<const T> image, Array3<T> data, Vectors vectors, bool fan, double dy, double dx,
             unsigned threads) {
    const auto geometry = geometry_of(image, data, vectors, fan, dy, dx);
    const nb::gil_scoped_release release;
    joseph::forward(image.data(), data.data(), image.shape(0), geometry, threads);
}

template <typename T>
void adjoint(Array3<const T> data, Array3<T> image, Vectors vectors, bool fan, double dy, double dx,
             unsigned threads) {
    const auto geometry = geometry_of(image, data, vectors, fan, dy, dx);
    const nb::gil_scoped_release release;
    joseph::adjoint(data.data(), image.data(), image.shape(0), geometry, threads);
}

template <typename T>
using Array2 = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Sums = nb::ndarray<double, nb::shape<3, -1, -1>, nb::c_contig, nb::device::cpu>;

template <typename T>
void moments(Array2<T> image, Array2<double> intercept, Array2<double> slope, Array2<bool> by_rows,
             Sums out, unsigned threads) {
    for (std::size_t axis = 0; axis < 2; ++axis) {
        const std::size_t size = out.shape(axis + 1);
        if (intercept.shape(axis) != size || slope.shape(axis) != size ||
            by_rows.shape(axis) != size) {
            throw std::invalid_argument("lines (angles, detectors) and sums disagree");
        }
    }
    const joseph::Lines lines{intercept.data(), slope.data(),
                              reinterpret_cast<const std::uint8_t*>(by_rows.data()), out.shape(1),
                              out.shape(2)};
    const nb::gil_scoped_release release;
    joseph::moments(image.data(), image.shape(0), image.shape(1), lines, out.data(), threads);
}

template <typename T>
void bind(nb::module_& module) {
    module.def("moments", &moments<T>, "image"_a.noconvert(), "intercept"_a.noconvert(),
               "slope"_a.noconvert(), "by_rows"_a.noconvert(), "out"_a.noconvert(), "threads"_a);
    module.def("forward", &forward<T>, "image"_a.noconvert(), "data"_a.noconvert(),
               "vectors"_a.noconvert(), "fan"_a, "dy"_a, "dx"_a, "threads"_a);
    module.def("adjoint", &adjoint<T>, "data"_a.noconvert(), "image"_a.noconvert(),
               "vectors"_a.noconvert(), "fan"_a, "dy"_a, "dx"_a, "threads"_a);
}

}  // namespace

NB_MODULE(_joseph, module) {
    bind<float>(module);
    bind<double>(module);
    joseph::bind_volumes(module);
    joseph::bind_voxels(module);
    joseph::bind_pixels(module);
    module.def("available_isas", &joseph::available_isas);
    module.def("current_isa", &joseph::current_isa);
    module.def("set_isa", &joseph::set_isa, "name"_a);
}
