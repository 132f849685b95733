#include "pixels/module.hpp"

#include <nanobind/ndarray.h>

#include <stdexcept>

#include "pixels/pixels.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace joseph {
namespace {

template <typename T>
using Stack = nb::ndarray<T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Views = nb::ndarray<const double, nb::shape<-1, 8>, nb::c_contig, nb::device::cpu>;
using Placement = nb::ndarray<const double, nb::shape<3>, nb::c_contig, nb::device::cpu>;

// `views`: the numbers of PixelView. `placement`: dy, dx, rate. `kind`: a PixelKind.
template <typename Data, typename Image>
PixelScan pixel_scan_of(const Data& data, const Image& image, const Views& views, int kind,
                        const Placement& placement) {
    static_assert(sizeof(PixelView) == 8 * sizeof(double));
    if (data.shape(0) != image.shape(0) || data.shape(1) != views.shape(0) || kind < 0 ||
        kind > 2) {
        throw std::invalid_argument(
            "data (batch, angles, detectors), image (batch, ny, nx), views (angles, 8) and kind "
            "disagree");
    }
    const auto size = [](auto n) { return static_cast<std::ptrdiff_t>(n); };
    const double* p = placement.data();
    return {reinterpret_cast<const PixelView*>(views.data()),
            static_cast<PixelKind>(kind),
            data.shape(1),
            size(data.shape(2)),
            size(image.shape(1)),
            size(image.shape(2)),
            p[0],
            p[1],
            p[2]};
}

template <typename T>
void gather(Stack<const T> data, Stack<T> image, Views views, int kind, Placement placement,
            unsigned threads) {
    const auto scan = pixel_scan_of(data, image, views, kind, placement);
    const nb::gil_scoped_release release;
    gather_pixels(data.data(), image.data(), image.shape(0), scan, threads);
}

template <typename T>
void scatter(Stack<const T> image, Stack<T> data, Views views, int kind, Placement placement,
             unsigned threads) {
    const auto scan = pixel_scan_of(data, image, views, kind, placement);
    const nb::gil_scoped_release release;
    scatter_pixels(image.data(), data.data(), image.shape(0), scan, threads);
}

template <typename T>
void bind(nb::module_& module) {
    module.def("gather_pixels", &gather<T>, "data"_a.noconvert(), "image"_a.noconvert(),
               "views"_a.noconvert(), "kind"_a, "placement"_a.noconvert(), "threads"_a);
    module.def("scatter_pixels", &scatter<T>, "image"_a.noconvert(), "data"_a.noconvert(),
               "views"_a.noconvert(), "kind"_a, "placement"_a.noconvert(), "threads"_a);
}

}  // namespace

void bind_pixels(nb::module_& module) {
    bind<float>(module);
    bind<double>(module);
}

}  // namespace joseph
