#include "joseph.hpp"

#include <algorithm>

#include "dispatch.hpp"
#include "layout.hpp"
#include "parallel.hpp"

namespace joseph {
namespace {

constexpr Axis kAxes[2] = {kRows, kColumns};

std::size_t pieces(std::size_t total, std::size_t size) { return (total + size - 1) / size; }

// A part of the batch in blocks of 1, 8 or 16 images, and the kernels that suit them.
struct Blocks {
    std::size_t first, images, lanes;

    std::size_t count() const { return pieces(images, lanes); }
    bool single() const { return lanes == 1; }
    int slot() const { return lanes == 8 ? 0 : 1; }
    std::ptrdiff_t frame() const { return single() ? kFrame : kLaneFrame; }
    template <typename T>
    Stack<T> stack(T* batch, std::size_t block, std::size_t stride) const {
        return {batch + (first + block * lanes) * stride, static_cast<std::ptrdiff_t>(stride),
                static_cast<std::ptrdiff_t>(lanes),
                static_cast<std::ptrdiff_t>(std::min(lanes, images - block * lanes))};
    }
};

// Up to four images are faster one by one than in a block with empty lanes.
std::vector<Blocks> split(std::size_t batch) {
    std::vector<Blocks> parts;
    const std::size_t rest = batch % 16, full = rest > 8 ? batch : batch - rest;
    if (full > 0) parts.push_back({0, full, 16});
    if (rest > 4 && rest <= 8) parts.push_back({full, rest, 8});
    if (rest > 0 && rest <= 4) parts.push_back({full, rest, 1});
    return parts;
}

template <typename T>
struct Job {
    const Geometry& geometry;
    const Plan& plan;
    const Kernels<T>& kernels;
    unsigned threads;

    std::size_t pixels() const { return static_cast<std::size_t>(geometry.ny * geometry.nx); }
    std::size_t rays() const { return geometry.angles * geometry.detectors; }
    std::size_t first_ray(const Run& run) const {
        return run.angle * geometry.detectors + run.begin;
    }
    Rays rays_of(const Run& run) const {
        const std::size_t first = first_ray(run);
        return {plan.intercept() + first, plan.slope() + first, plan.weight() + first,
                static_cast<std::ptrdiff_t>(run.end - run.begin)};
    }
    Sheet sheet(Axis axis, std::ptrdiff_t frame) const {
        const std::ptrdiff_t rows = axis == kRows ? geometry.ny : geometry.nx;
        const std::ptrdiff_t columns = axis == kRows ? geometry.nx : geometry.ny;
        return {rows, columns, columns + 2 * frame};
    }
    // Starting a thread costs about as much as 50 000 updates.
    unsigned team(std::size_t updates) const {
        return static_cast<unsigned>(std::clamp<std::size_t>(updates / 50'000, 1, threads));
    }
};

template <typename T>
void forward_axis(const Job<T>& job, const T* images, T* data, const Blocks& blocks, Axis axis) {
    const auto& runs = job.plan.runs(axis);
    const Sheet size = job.sheet(axis, blocks.frame());
    const std::size_t rows = static_cast<std::size_t>(size.rows);
    const std::size_t area = rows * static_cast<std::size_t>(size.stride) * blocks.lanes;
    Buffer<T> sheets(blocks.count() * area + kSlack);
    T* origin = sheets.data() + static_cast<std::size_t>(blocks.frame()) * blocks.lanes;

    const std::size_t strips = pieces(rows, kCopyTile);
    const unsigned copiers = job.team(blocks.count() * area);
    parallel_for(blocks.count() * strips, copiers, [&](unsigned, std::size_t task) {
        const std::size_t block = task / strips;
        const auto first = static_cast<std::ptrdiff_t>(task % strips) * kCopyTile;
        fill_sheet(blocks.stack(images, block, job.pixels()), axis, size, blocks.frame(), first,
                   std::min(first + kCopyTile, size.rows), origin + block * area);
    });
    const unsigned team = job.team(blocks.images * job.rays() * rows);
    parallel_for(blocks.count() * runs.size(), team, [&](unsigned, std::size_t task) {
        const std::size_t block = task / runs.size();
        const Run& run = runs[task % runs.size()];
        const T* sheet = origin + block * area;
        const Stack<T> out = blocks.stack(data, block, job.rays());
        T* target = out.first + job.first_ray(run);
        if (blocks.single()) {
            job.kernels.project(sheet, size, job.rays_of(run), target);
        } else {
            job.kernels.project_lanes[blocks.slot()](sheet, size, job.rays_of(run), target,
                                                     out.stride, out.valid);
        }
    });
}

// packed (block, ray, lane) = data times the weight of the ray.
template <typename T>
void pack_data(const Job<T>& job, const T* data, const Blocks& blocks, T* packed) {
    const std::size_t angles = job.geometry.angles, detectors = job.geometry.detectors;
    const unsigned team = job.team(blocks.images * job.rays());
    parallel_for(blocks.count() * angles, team, [&](unsigned, std::size_t task) {
        const std::size_t block = task / angles, ray = task % angles * detectors;
        Stack<const T> source = blocks.stack(data, block, job.rays());
        source.first += ray;
        T* target = packed + (block * job.rays() + ray) * blocks.lanes;
        interleave(source, 1, static_cast<std::ptrdiff_t>(detectors), target, source.lanes);
        for (std::size_t d = 0; d < detectors; ++d) {
            const T weight = static_cast<T>(job.plan.weight()[ray + d]);
            for (std::size_t lane = 0; lane < blocks.lanes; ++lane) {
                target[d * blocks.lanes + lane] *= weight;
            }
        }
    });
}

// Rows of the sheet are independent: every thread owns a tile of them, runs through all rays and
// writes the tile, so there are no atomic additions and no image per thread.
template <typename T>
void adjoint_axis(const Job<T>& job, const T* data, T* images, const Blocks& blocks, Axis axis,
                  const T* packed, bool add) {
    const auto& runs = job.plan.runs(axis);
    const Sheet size = job.sheet(axis, blocks.frame());
    const std::ptrdiff_t height = blocks.single() ? kBlock : kTile;
    // One image: two numbers a pixel, for the taps on this pixel and the next.
    const std::ptrdiff_t depth = blocks.single() ? 2 : static_cast<std::ptrdiff_t>(blocks.lanes);
    const std::ptrdiff_t step = size.stride * depth;
    const unsigned team =
        job.team(blocks.images * job.rays() * static_cast<std::size_t>(size.rows));
    Buffer<T> scratch(team * static_cast<std::size_t>(height * step));
    const std::size_t strips =
        pieces(static_cast<std::size_t>(size.rows), static_cast<std::size_t>(height));
    parallel_for(blocks.count() * strips, team, [&](unsigned worker, std::size_t task) {
        const std::size_t block = task / strips;
        const auto first = static_cast<std::ptrdiff_t>(task % strips) * height;
        const std::ptrdiff_t rows = std::min(height, size.rows - first);
        T* start = scratch.data() + worker * static_cast<std::size_t>(height * step);
        std::fill_n(start, height * step, T(0));
        T* tile = start + blocks.frame() * depth;
        const T* source = blocks.single() ? blocks.stack(data, block, job.rays()).first
                                          : packed + block * job.rays() * blocks.lanes;
        const auto kernel = blocks.single() ? job.kernels.backproject
                                            : job.kernels.backproject_lanes[blocks.slot()];
        for (const Run& run : runs) {
            kernel(tile, size, first, rows, job.rays_of(run),
                   source + job.first_ray(run) * blocks.lanes);
        }
        const Stack<T> out = blocks.stack(images, block, job.pixels());
        if (blocks.single()) {
            write_tile(out, axis, size, first, rows, add,
                       [=](std::ptrdiff_t, std::ptrdiff_t r, std::ptrdiff_t column) {
                           const T* pair = tile + r * step + 2 * column;
                           return pair[0] + pair[-1];
                       });
        } else {
            write_tile(out, axis, size, first, rows, add,
                       [=](std::ptrdiff_t lane, std::ptrdiff_t r, std::ptrdiff_t column) {
                           return tile[r * step + column * depth + lane];
                       });
        }
    });
}

}  // namespace

template <typename T>
void forward(const T* image, T* data, std::size_t batch, const Geometry& geometry,
             unsigned threads) {
    const Plan plan(geometry, threads);
    const Job<T> job{geometry, plan, chosen_kernels<T>(), std::max(threads, 1u)};
    for (const Blocks& blocks : split(batch)) {
        for (const Axis axis : kAxes) {
            if (!plan.runs(axis).empty()) forward_axis(job, image, data, blocks, axis);
        }
    }
}

template <typename T>
void adjoint(const T* data, T* image, std::size_t batch, const Geometry& geometry,
             unsigned threads) {
    const Plan plan(geometry, threads);
    const Job<T> job{geometry, plan, chosen_kernels<T>(), std::max(threads, 1u)};
    if (plan.runs(kRows).empty() && plan.runs(kColumns).empty()) {
        std::fill_n(image, batch * job.pixels(), T(0));
        return;
    }
    for (const Blocks& blocks : split(batch)) {
        Buffer<T> packed(blocks.single() ? 0 : blocks.count() * blocks.lanes * job.rays());
        if (!blocks.single()) pack_data(job, data, blocks, packed.data());
        bool add = false;
        for (const Axis axis : kAxes) {
            if (plan.runs(axis).empty()) continue;
            adjoint_axis(job, data, image, blocks, axis, packed.data(), add);
            add = true;
        }
    }
}

template void forward(const float*, float*, std::size_t, const Geometry&, unsigned);
template void forward(const double*, double*, std::size_t, const Geometry&, unsigned);
template void adjoint(const float*, float*, std::size_t, const Geometry&, unsigned);
template void adjoint(const double*, double*, std::size_t, const Geometry&, unsigned);

}  // namespace joseph
