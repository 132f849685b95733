// The ray transform of Joseph in three dimensions: where and how each ray crosses the volume.
#pragma once

#include <cstddef>
#include <vector>

#include "memory.hpp"
#include "ray3d/kernels.hpp"

namespace joseph {

// Axes of the volume as it is stored: z, y, x are 0, 1, 2.
struct VolumeGeometry {
    const double* vectors;  // (angles, 12), see RayGeometry3D in geometry3d.py
    bool cone;
    std::size_t angles, rows, columns;
    std::ptrdiff_t shape[3];
    double voxel[3];  // mm

    std::size_t rays() const { return angles * rows * columns; }
    std::size_t voxels() const {
        return static_cast<std::size_t>(shape[0] * shape[1] * shape[2]);
    }
    std::ptrdiff_t stride(int axis) const {
        return axis == 2 ? 1 : axis == 1 ? shape[2] : shape[1] * shape[2];
    }
};

// Detector pixels [begin, end) of a row of one angle.
struct Segment {
    std::size_t angle, row, begin, end;
};

// Rays in combs along an axis of the volume where the detector is parallel to one, the others one
// by one.
class VolumePlan {
public:
    VolumePlan(const VolumeGeometry& geometry, unsigned threads);

    // The axis along which combs are: lines of voxels are copied so that it is innermost.
    int line_axis() const { return line_axis_; }
    // The other axis i of 0 and 1, in storage order.
    int other_axis(int i) const {
        if (i == 0) return line_axis_ == 0 ? 1 : 0;
        return line_axis_ == 2 ? 1 : 2;
    }
    // Combs that walk along other_axis(i), by angle and detector pixel.
    const std::vector<Comb>& combs(int i) const { return combs_[i]; }
    const std::vector<Segment>& segments() const { return segments_; }

private:
    std::vector<Comb> combs_[2];
    std::vector<Segment> segments_;
    int line_axis_;
};

// A table of the rays of some segments, sorted by main axis.
class RayTable {
public:
    explicit RayTable(std::size_t capacity);

    void fill(const VolumeGeometry& geometry, const Segment* segments, std::size_t count,
              unsigned threads);
    // Rays [begin, end) of those whose main axis is `axis`.
    RayList rays(int axis, std::size_t begin, std::size_t end) const;
    std::size_t count(int axis) const { return start_[axis + 1] - start_[axis]; }

private:
    Buffer<double> numbers_[5];
    Buffer<std::size_t> pixel_;
    std::size_t start_[4];
};

}  // namespace joseph
