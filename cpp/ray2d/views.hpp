// The ray transform of Joseph (IEEE TMI 1982): where and how each ray crosses the image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ray2d/kernels.hpp"
#include "memory.hpp"

namespace joseph {

// A ray walks along one image axis (the one in which it moves more, in pixels) and interpolates
// along the other one.
enum Axis : int { kRows = 0, kColumns = 1 };

struct Geometry {
    const double* vectors;  // (angles, 6), see RayGeometry2D in joseph.py
    bool fan;
    std::size_t angles;
    std::size_t detectors;
    std::ptrdiff_t ny, nx;
    double dy, dx;  // mm
};

// All rays, ordered by the axis along which they walk. Fan beams keep a table of their rays.
class Views {
public:
    Views(const Geometry& geometry, unsigned threads);

    const std::vector<View>& of(Axis axis) const { return views_[axis]; }

private:
    void add_parallel(const Geometry& geometry, std::size_t angle);
    void set_rays(const Geometry& geometry, std::size_t angle);
    void add_fan(const Geometry& geometry, std::size_t angle);

    std::vector<View> views_[2];
    std::ptrdiff_t stride_ = 0;
    Buffer<double> intercepts_, slopes_;
    Buffer<std::uint8_t> kind_;
};

}  // namespace joseph
