// One angle of a three-dimensional scan.
#pragma once

#include <cmath>

#include "ray3d/plan.hpp"

namespace joseph {

// Where a ray crosses the volume; see RayTable3D in geometry3d.py.
struct RayTrack {
    int axis;
    double intercept[2], slope[2], weight;

    bool sound() const {
        return std::isfinite(intercept[0]) && std::isfinite(intercept[1]) &&
               std::isfinite(slope[0]) && std::isfinite(slope[1]) && std::isfinite(weight);
    }
};

// The axes across each axis, in storage order.
inline constexpr int kAcross[3][2] = {{1, 2}, {0, 2}, {0, 1}};

// kernels/geometry3d.py evaluates the same expressions in the same order: ties between the axes
// must be broken alike, so this header is compiled without contraction to fused multiply-adds.
class Pose {
public:
    Pose(const VolumeGeometry& geometry, std::size_t angle)
        : g_(geometry), v_(geometry.vectors + 12 * angle) {}

    double step(bool row, int axis) const { return v_[(row ? 9 : 6) + 2 - axis]; }
    double pixel(std::size_t row, std::size_t column, int axis) const {
        const int i = 2 - axis;
        return v_[3 + i] + static_cast<double>(column) * v_[6 + i] +
               static_cast<double>(row) * v_[9 + i];
    }
    // In voxels.
    double direction(std::size_t row, std::size_t column, int axis) const {
        const double first = v_[2 - axis];
        return (g_.cone ? pixel(row, column, axis) - first : first) / g_.voxel[axis];
    }
    double index(std::size_t row, std::size_t column, int axis) const {
        return pixel(row, column, axis) / g_.voxel[axis] +
               0.5 * static_cast<double>(g_.shape[axis] - 1);
    }
    int main_axis(std::size_t row, std::size_t column) const {
        return main_axis(direction(row, column, 0), direction(row, column, 1),
                         direction(row, column, 2));
    }
    RayTrack track(std::size_t row, std::size_t column) const {
        const double along[3] = {direction(row, column, 0), direction(row, column, 1),
                                 direction(row, column, 2)};
        RayTrack t;
        t.axis = main_axis(along[0], along[1], along[2]);
        const double here = index(row, column, t.axis);
        double square = g_.voxel[t.axis] * g_.voxel[t.axis];
        for (int k = 0; k < 2; ++k) {
            const int other = kAcross[t.axis][k];
            t.slope[k] = along[other] / along[t.axis];
            t.intercept[k] = index(row, column, other) - t.slope[k] * here;
            const double rise = t.slope[k] * g_.voxel[other];
            square += rise * rise;
        }
        t.weight = std::sqrt(square);
        return t;
    }

private:
    static int main_axis(double z, double y, double x) {
        const double a = std::fabs(z), b = std::fabs(y), c = std::fabs(x);
        if (b >= c && b >= a) return 1;
        return c >= a ? 2 : 0;
    }

    const VolumeGeometry& g_;
    const double* v_;
};

}  // namespace joseph
