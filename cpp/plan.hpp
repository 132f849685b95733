// The ray transform of Joseph (IEEE TMI 1982): where and how each ray crosses the image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

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

// Detectors [begin, end) of one angle whose rays walk along the same axis.
struct Run {
    std::size_t angle, begin, end;
};

// In step i along its axis a ray crosses at position intercept + slope * i (in pixels) of the other
// axis; `weight` is its length per step, in mm. Arrays are (angles, detectors).
class Plan {
public:
    Plan(const Geometry& geometry, unsigned threads);

    const std::vector<Run>& runs(Axis axis) const { return runs_[axis]; }
    const double* intercept() const { return intercept_.data(); }
    const double* slope() const { return slope_.data(); }
    const double* weight() const { return weight_.data(); }

private:
    void set_angle(const Geometry& geometry, std::size_t angle);
    void find_runs(std::size_t angles, std::size_t detectors);

    Buffer<double> intercept_, slope_, weight_;
    Buffer<std::uint8_t> axis_;
    std::vector<Run> runs_[2];
};

}  // namespace joseph
