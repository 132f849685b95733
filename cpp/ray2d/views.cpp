#include "ray2d/views.hpp"

#include <cmath>

#include "parallel.hpp"

namespace joseph {
namespace {

constexpr double kMiss = -1e9;  // an intercept left of every image
constexpr int kUnsound = 2;

// A ray in pixels. kernels/geometry.py evaluates the same expressions for its direction in the same
// order: ties between the axes must be broken alike, so this file is compiled without contraction to
// fused multiply-adds.
struct Line {
    bool rows;
    double slope, intercept;

    Line(const Geometry& g, const double* v, double d) {
        const double pixel_x = v[2] + d * v[4];
        const double pixel_y = v[3] + d * v[5];
        const double along_x = (g.fan ? pixel_x - v[0] : v[0]) / g.dx;
        const double along_y = (g.fan ? pixel_y - v[1] : v[1]) / g.dy;
        const double index_x = pixel_x / g.dx + 0.5 * static_cast<double>(g.nx - 1);
        const double index_y = pixel_y / g.dy + 0.5 * static_cast<double>(g.ny - 1);
        rows = std::fabs(along_y) >= std::fabs(along_x);
        slope = rows ? along_x / along_y : along_y / along_x;
        intercept = rows ? index_x - slope * index_y : index_y - slope * index_x;
    }
};

// RayGeometry2D refuses what is not finite; the kernels, which compute addresses from these numbers,
// never see it either: such a ray misses the image.
bool sound(double intercept, double slope, double run, double rise) {
    return std::isfinite(intercept) && std::isfinite(slope) &&
           std::isfinite(run * run + slope * rise * (slope * rise));
}

View view_of(const Geometry& g, std::size_t angle, Axis axis) {
    View view = {};
    view.angle = static_cast<std::ptrdiff_t>(angle);
    view.end = static_cast<std::ptrdiff_t>(g.detectors);
    view.fan = g.fan;
    view.regular = true;
    view.run = axis == kRows ? g.dy : g.dx;
    view.rise = axis == kRows ? g.dx : g.dy;
    return view;
}

}  // namespace

Views::Views(const Geometry& g, unsigned threads)
    : stride_(static_cast<std::ptrdiff_t>(g.detectors) + kFrame),
      intercepts_(g.fan ? g.angles * static_cast<std::size_t>(stride_) + 2 * kFrame : 0),
      slopes_(g.fan ? g.angles * static_cast<std::size_t>(stride_) + 2 * kFrame : 0),
      kind_(g.fan ? g.angles * g.detectors : 0) {
    if (!g.fan) {
        for (std::size_t angle = 0; angle < g.angles; ++angle) add_parallel(g, angle);
        return;
    }
    const bool small = g.angles * g.detectors < 50'000;
    std::fill_n(intercepts_.data(), 2 * kFrame, 0.0);
    std::fill_n(slopes_.data(), 2 * kFrame, 0.0);
    parallel_for(g.angles, small ? 1 : threads,
                 [&](unsigned, std::size_t angle) { set_rays(g, angle); });
    for (std::size_t angle = 0; angle < g.angles; ++angle) add_fan(g, angle);
}

void Views::add_parallel(const Geometry& g, std::size_t angle) {
    const double* v = g.vectors + 6 * angle;
    const Line line(g, v, 0.0);
    const Axis axis = line.rows ? kRows : kColumns;
    View view = view_of(g, angle, axis);
    view.slope = line.slope;
    view.intercept = line.intercept;
    const double step_x = v[4] / g.dx, step_y = v[5] / g.dy;
    view.step = axis == kRows ? step_x - view.slope * step_y : step_y - view.slope * step_x;
    const double rise = view.slope * view.rise;
    view.weight = std::sqrt(view.run * view.run + rise * rise);
    if (!sound(view.intercept, view.slope, view.run, view.rise) || !std::isfinite(view.step)) {
        view.intercept = kMiss;
        view.slope = view.step = view.weight = 0.0;
        view.regular = false;
    }
    // The kernels take both terms of a position for whole numbers of 32 bits.
    const double farthest = std::fabs(view.intercept) +
                            std::fabs(view.step) * static_cast<double>(g.detectors);
    view.regular = view.regular && farthest < 0.5 * (1 << 30);
    // A ray alone is followed, rather than looked for from every pixel.
    view.regular = view.regular && g.detectors > 1;
    views_[axis].push_back(view);
}

void Views::set_rays(const Geometry& g, std::size_t angle) {
    const double* v = g.vectors + 6 * angle;
    double* intercepts = intercepts_.data() + kFrame + static_cast<std::ptrdiff_t>(angle) * stride_;
    double* slopes = slopes_.data() + kFrame + static_cast<std::ptrdiff_t>(angle) * stride_;
    std::uint8_t* kind = kind_.data() + angle * g.detectors;
    for (std::size_t d = 0; d < g.detectors; ++d) {
        const Line line(g, v, static_cast<double>(d));
        const bool rows = line.rows;
        intercepts[d] = line.intercept;
        slopes[d] = line.slope;
        const bool good = sound(intercepts[d], slopes[d], rows ? g.dy : g.dx, rows ? g.dx : g.dy);
        kind[d] = static_cast<std::uint8_t>(!good ? kUnsound : rows ? kRows : kColumns);
        if (!good) {
            intercepts[d] = kMiss;
            slopes[d] = 0.0;
        }
    }
    std::fill_n(intercepts + g.detectors, kFrame, 0.0);
    std::fill_n(slopes + g.detectors, kFrame, 0.0);
}

void Views::add_fan(const Geometry& g, std::size_t angle) {
    const double* v = g.vectors + 6 * angle;
    const std::uint8_t* kind = kind_.data() + angle * g.detectors;
    const std::ptrdiff_t first = kFrame + static_cast<std::ptrdiff_t>(angle) * stride_;
    const double* intercepts = intercepts_.data() + first;
    const double* slopes = slopes_.data() + first;
    const double x[3] = {v[0] / g.dx + 0.5 * static_cast<double>(g.nx - 1), (v[2] - v[0]) / g.dx,
                         v[4] / g.dx};
    const double y[3] = {v[1] / g.dy + 0.5 * static_cast<double>(g.ny - 1), (v[3] - v[1]) / g.dy,
                         v[5] / g.dy};
    for (std::size_t begin = 0, end; begin < g.detectors; begin = end) {
        end = begin + 1;
        while (end < g.detectors && kind[end] == kind[begin]) ++end;
        const Axis axis = kind[begin] == kColumns ? kColumns : kRows;
        View view = view_of(g, angle, axis);
        view.begin = static_cast<std::ptrdiff_t>(begin);
        view.end = static_cast<std::ptrdiff_t>(end);
        view.intercepts = intercepts;
        view.slopes = slopes;
        const double* column = axis == kRows ? x : y;
        const double* row = axis == kRows ? y : x;
        view.source[0] = column[0];
        view.source[1] = row[0];
        view.first[0] = column[1];
        view.first[1] = row[1];
        view.pitch[0] = column[2];
        view.pitch[1] = row[2];
        const double from = row[1] + static_cast<double>(begin) * row[2];
        const double to = row[1] + static_cast<double>(end - 1) * row[2];
        view.regular = kind[begin] != kUnsound && from * to > 0;
        views_[axis].push_back(view);
    }
}

}  // namespace joseph
