#include "plan.hpp"

#include <cmath>

#include "parallel.hpp"

namespace joseph {
namespace {

constexpr double kMiss = -1e9;  // an intercept left of every image

}  // namespace

Plan::Plan(const Geometry& g, unsigned threads)
    : intercept_(g.angles * g.detectors),
      slope_(g.angles * g.detectors),
      weight_(g.angles * g.detectors),
      axis_(g.angles * g.detectors) {
    const bool small = g.angles * g.detectors < 50'000;
    parallel_for(g.angles, small ? 1 : threads,
                 [&](unsigned, std::size_t angle) { set_angle(g, angle); });
    find_runs(g.angles, g.detectors);
}

// kernels/geometry.py evaluates the same expressions in the same order: ties between the axes must be
// broken alike, so this file is compiled without contraction to fused multiply-adds.
void Plan::set_angle(const Geometry& g, std::size_t angle) {
    const double* v = g.vectors + 6 * angle;
    const double centre_x = 0.5 * static_cast<double>(g.nx - 1);
    const double centre_y = 0.5 * static_cast<double>(g.ny - 1);
    const std::size_t first = angle * g.detectors;
    for (std::size_t d = 0; d < g.detectors; ++d) {
        const double pixel_x = v[2] + static_cast<double>(d) * v[4];
        const double pixel_y = v[3] + static_cast<double>(d) * v[5];
        const double direction_x = g.fan ? pixel_x - v[0] : v[0];
        const double direction_y = g.fan ? pixel_y - v[1] : v[1];
        const double index_x = pixel_x / g.dx + centre_x;
        const double index_y = pixel_y / g.dy + centre_y;
        const double along_x = direction_x / g.dx;
        const double along_y = direction_y / g.dy;
        const bool rows = std::fabs(along_y) >= std::fabs(along_x);
        const double slope = rows ? along_x / along_y : along_y / along_x;
        const double intercept = rows ? index_x - slope * index_y : index_y - slope * index_x;
        const double run = rows ? g.dy : g.dx, rise = slope * (rows ? g.dx : g.dy);
        const double weight = std::sqrt(run * run + rise * rise);
        // RayGeometry2D refuses what is not finite; the kernels, which compute addresses from these
        // numbers, never see it either: such a ray misses the image.
        const bool sound =
            std::isfinite(intercept) && std::isfinite(slope) && std::isfinite(weight);
        axis_.data()[first + d] = rows ? kRows : kColumns;
        slope_.data()[first + d] = sound ? slope : 0.0;
        intercept_.data()[first + d] = sound ? intercept : kMiss;
        weight_.data()[first + d] = sound ? weight : 0.0;
    }
}

void Plan::find_runs(std::size_t angles, std::size_t detectors) {
    for (std::size_t angle = 0; angle < angles; ++angle) {
        const std::uint8_t* axis = axis_.data() + angle * detectors;
        for (std::size_t begin = 0, end; begin < detectors; begin = end) {
            end = begin + 1;
            while (end < detectors && axis[end] == axis[begin]) ++end;
            runs_[axis[begin]].push_back({angle, begin, end});
        }
    }
}

}  // namespace joseph
