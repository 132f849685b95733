#include "voxels/voxels.hpp"

#include <algorithm>
#include <vector>

#include "dispatch.hpp"
#include "parallel.hpp"

namespace joseph {
namespace {

using std::ptrdiff_t;
using std::size_t;

constexpr ptrdiff_t kTileX = 16, kTileY = 4;  // pixels (x, y) that share the columns they meet

template <typename T>
struct VoxelJob {
    const VoxelScan& scan;
    size_t batch;
    const VoxelKernels<T>& kernels = chosen_voxel_kernels<T>();
    ptrdiff_t tiles_x = (scan.shape[2] + kTileX - 1) / kTileX;
    ptrdiff_t tiles_y = (scan.shape[1] + kTileY - 1) / kTileY;

    size_t tiles() const { return static_cast<size_t>(tiles_x * tiles_y); }
    size_t column_stride() const { return batch * static_cast<size_t>(scan.rows); }
    size_t start(size_t view, size_t sample) const {
        return view * column_stride() * static_cast<size_t>(scan.columns) +
               sample * static_cast<size_t>(scan.rows);
    }
    // Of a column of voxels in the scratch of a worker, which also has a line between margins.
    ptrdiff_t depth() const {
        return (scan.shape[0] + kVoxelRound - 1) / kVoxelRound * kVoxelRound;
    }
    std::vector<std::vector<T>> scratch(unsigned threads) const {
        const ptrdiff_t size = kTileX * kTileY * depth() + scan.rows + 2 * kLineMargin;
        return {threads, std::vector<T>(static_cast<size_t>(size))};
    }

    // Calls body(n, x, y) for pixel n of a tile.
    template <typename Body>
    void each_pixel(size_t tile, const Body& body) const {
        const ptrdiff_t x0 = static_cast<ptrdiff_t>(tile) % tiles_x * kTileX;
        const ptrdiff_t y0 = static_cast<ptrdiff_t>(tile) / tiles_x * kTileY;
        ptrdiff_t n = 0;
        for (ptrdiff_t y = y0; y < std::min(y0 + kTileY, scan.shape[1]); ++y) {
            for (ptrdiff_t x = x0; x < std::min(x0 + kTileX, scan.shape[2]); ++x) body(n++, x, y);
        }
    }

    static double centred(ptrdiff_t i, ptrdiff_t count) {
        return static_cast<double>(i) - 0.5 * static_cast<double>(count - 1);
    }

    // Where the voxels above pixel (x, y) meet a view whose columns begin at `start`.
    VoxelTap<T> tap(size_t view, ptrdiff_t x, ptrdiff_t y, T* start) const {
        const double* v = scan.views + 4 * view;
        const double px = centred(x, scan.shape[2]) * scan.dx;
        const double py = centred(y, scan.shape[1]) * scan.dy;
        const double depth = 1 / (1 + v[2] * px + v[3] * py);
        const double end = static_cast<double>(scan.columns - 1);
        const double column =
            std::clamp((v[0] * px + v[1] * py) * depth + scan.column, 0.0, end);
        const auto lower = std::min(static_cast<ptrdiff_t>(column), scan.columns - 2);
        const double fraction = column - static_cast<double>(lower), weight = depth * depth;
        const double step = scan.rise * depth;
        T* left = start + static_cast<size_t>(lower) * column_stride();
        return {{left, left + column_stride()},
                {static_cast<T>((1 - fraction) * weight), static_cast<T>(fraction * weight)},
                scan.row + step * scan.bottom,
                step};
    }

    // The voxels of a tile, (pixel, nz), from or to the volume of one sample.
    template <typename Body>
    void each_voxel(size_t tile, const Body& body) const {
        const ptrdiff_t nz = scan.shape[0], layer = scan.shape[1] * scan.shape[2];
        for (ptrdiff_t k = 0; k < nz; ++k) {
            each_pixel(tile, [&](ptrdiff_t n, ptrdiff_t x, ptrdiff_t y) {
                body(n * depth() + k, k * layer + y * scan.shape[2] + x);
            });
        }
    }
};

}  // namespace

template <typename T>
void gather_voxels(const T* stack, T* volume, size_t batch, const VoxelScan& scan,
                   unsigned threads) {
    const VoxelJob<T> job{scan, batch};
    const ptrdiff_t nz = scan.shape[0];
    const auto voxels = static_cast<size_t>(nz * scan.shape[1] * scan.shape[2]);
    std::vector<std::vector<T>> scratch = job.scratch(threads);
    parallel_for(job.tiles() * batch, threads, [&](unsigned worker, size_t task) {
        const size_t tile = task / batch, sample = task % batch;
        T* line = scratch[worker].data() + kLineMargin;
        T* totals = line + scan.rows + kLineMargin;
        std::fill(totals, totals + kTileX * kTileY * job.depth(), T(0));
        for (size_t view = 0; view < scan.angles; ++view) {
            // Gathering does not write to the columns.
            T* start = const_cast<T*>(stack) + job.start(view, sample);
            job.each_pixel(tile, [&](ptrdiff_t n, ptrdiff_t x, ptrdiff_t y) {
                job.kernels.gather(job.tap(view, x, y, start), scan.rows, nz, line,
                                   totals + n * job.depth());
            });
        }
        T* target = volume + sample * voxels;
        job.each_voxel(tile, [&](ptrdiff_t from, ptrdiff_t to) { target[to] = totals[from]; });
    });
}

template <typename T>
void scatter_voxels(const T* volume, T* stack, size_t batch, const VoxelScan& scan,
                    unsigned threads) {
    const VoxelJob<T> job{scan, batch};
    const ptrdiff_t nz = scan.shape[0];
    const auto voxels = static_cast<size_t>(nz * scan.shape[1] * scan.shape[2]);
    std::vector<std::vector<T>> scratch = job.scratch(threads);
    parallel_for(scan.angles * batch, threads, [&](unsigned worker, size_t task) {
        const size_t view = task / batch, sample = task % batch;
        T* line = scratch[worker].data() + kLineMargin;
        T* values = line + scan.rows + kLineMargin;
        T* start = stack + job.start(view, sample);
        const T* source = volume + sample * voxels;
        for (size_t tile = 0; tile < job.tiles(); ++tile) {
            job.each_voxel(tile, [&](ptrdiff_t to, ptrdiff_t from) { values[to] = source[from]; });
            job.each_pixel(tile, [&](ptrdiff_t n, ptrdiff_t x, ptrdiff_t y) {
                job.kernels.scatter(job.tap(view, x, y, start), scan.rows, nz, line,
                                    values + n * job.depth());
            });
        }
    });
}

template void gather_voxels(const float*, float*, size_t, const VoxelScan&, unsigned);
template void gather_voxels(const double*, double*, size_t, const VoxelScan&, unsigned);
template void scatter_voxels(const float*, float*, size_t, const VoxelScan&, unsigned);
template void scatter_voxels(const double*, double*, size_t, const VoxelScan&, unsigned);

}  // namespace joseph
