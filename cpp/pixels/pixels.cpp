#include "pixels/pixels.hpp"

#include <algorithm>
#include <vector>

#include "dispatch.hpp"
#include "parallel.hpp"

namespace joseph {
namespace {

using std::ptrdiff_t;
using std::size_t;

constexpr ptrdiff_t kScratchBytes = 12 << 10;  // of a tile: half of a first-level cache, or less
constexpr ptrdiff_t kMostRows = 16, kMostColumns = 512;
constexpr ptrdiff_t kViewsTogether = 4;  // that read a tile of the image while it is near
constexpr ptrdiff_t kLines = 4;          // that a view is added to

template <typename T>
struct PixelJob {
    const PixelScan& scan;
    const PixelKernels<T>& kernels = chosen_pixel_kernels<T>();
    ptrdiff_t columns = std::min(scan.nx, kMostColumns);
    ptrdiff_t stride = (columns + kPixelRound - 1) / kPixelRound * kPixelRound;
    ptrdiff_t rows = std::clamp<ptrdiff_t>(
        kScratchBytes / (stride * static_cast<ptrdiff_t>(sizeof(T))), 1, kMostRows);
    ptrdiff_t across = (scan.nx + columns - 1) / columns;
    ptrdiff_t down = (scan.ny + rows - 1) / rows;
    ptrdiff_t line = scan.detectors + 2 * kPixelMargin;

    size_t tiles() const { return static_cast<size_t>(across * down); }
    size_t pixels() const { return static_cast<size_t>(scan.ny * scan.nx); }

    PixelTile tile(size_t number, ptrdiff_t& start) const {
        const auto n = static_cast<ptrdiff_t>(number);
        const ptrdiff_t x = n % across * columns, y = n / across * rows;
        start = y * scan.nx + x;
        return {scan.kind,
                centred(x, scan.nx) * scan.dx,
                centred(y, scan.ny) * scan.dy,
                scan.dx,
                scan.dy,
                scan.rate,
                std::min(rows, scan.ny - y),
                std::min(columns, scan.nx - x),
                stride};
    }

    static double centred(ptrdiff_t i, ptrdiff_t count) {
        return static_cast<double>(i) - 0.5 * static_cast<double>(count - 1);
    }
};

}  // namespace

template <typename T>
void gather_pixels(const T* data, T* image, size_t batch, const PixelScan& scan,
                   unsigned threads) {
    const PixelJob<T> job{scan};
    const auto detectors = static_cast<size_t>(scan.detectors);
    const auto size = static_cast<size_t>(job.line + job.rows * job.stride);
    std::vector<std::vector<T>> scratch(std::max(threads, 1u), std::vector<T>(size));
    parallel_for(job.tiles() * batch, threads, [&](unsigned worker, size_t task) {
        const size_t sample = task % batch;
        ptrdiff_t start;
        const PixelTile tile = job.tile(task / batch, start);
        T* line = scratch[worker].data() + kPixelMargin;
        T* totals = scratch[worker].data() + job.line;
        std::fill(totals, totals + job.rows * job.stride, T(0));
        for (size_t view = 0; view < scan.angles; ++view) {
            const T* source = data + (sample * scan.angles + view) * detectors;
            std::copy(source, source + detectors, line);
            job.kernels.gather(tile, scan.views[view], scan.detectors, line, totals);
        }
        T* target = image + sample * job.pixels() + start;
        for (ptrdiff_t row = 0; row < tile.rows; ++row) {
            const T* total = totals + row * job.stride;
            std::copy(total, total + tile.count, target + row * scan.nx);
        }
    });
}

template <typename T>
void scatter_pixels(const T* image, T* data, size_t batch, const PixelScan& scan,
                    unsigned threads) {
    const PixelJob<T> job{scan};
    const auto detectors = static_cast<size_t>(scan.detectors);
    const auto lines = static_cast<size_t>(kViewsTogether * kLines * job.line);
    const size_t size = lines + static_cast<size_t>(job.rows * job.stride);
    const size_t blocks = (scan.angles + kViewsTogether - 1) / kViewsTogether;
    std::vector<std::vector<T>> scratch(std::max(threads, 1u), std::vector<T>(size));
    parallel_for(blocks * batch, threads, [&](unsigned worker, size_t task) {
        const size_t first = task / batch * kViewsTogether, sample = task % batch;
        const size_t last = std::min(first + kViewsTogether, scan.angles);
        T* numbers = scratch[worker].data();
        T* values = numbers + lines;
        std::fill(numbers, values + job.rows * job.stride, T(0));
        for (size_t n = 0; n < job.tiles(); ++n) {
            ptrdiff_t start;
            const PixelTile tile = job.tile(n, start);
            const T* source = image + sample * job.pixels() + start;
            for (ptrdiff_t row = 0; row < tile.rows; ++row) {
                T* value = values + row * job.stride;
                std::copy(source + row * scan.nx, source + row * scan.nx + tile.count, value);
                std::fill(value + tile.count, value + job.stride, T(0));
            }
            for (size_t view = first; view < last; ++view) {
                T* line = numbers + static_cast<ptrdiff_t>(view - first) * kLines * job.line;
                job.kernels.scatter(tile, scan.views[view], scan.detectors, line + kPixelMargin,
                                    values);
            }
        }
        for (size_t view = first; view < last; ++view) {
            T* target = data + (sample * scan.angles + view) * detectors;
            const T* line = numbers + static_cast<ptrdiff_t>(view - first) * kLines * job.line;
            for (size_t i = 0; i < detectors; ++i) {
                T sum = 0;
                for (ptrdiff_t k = 0; k < kLines; ++k) sum += line[kPixelMargin + k * job.line + static_cast<ptrdiff_t>(i)];
                target[i] = sum;
            }
        }
    });
}

template void gather_pixels(const float*, float*, size_t, const PixelScan&, unsigned);
template void gather_pixels(const double*, double*, size_t, const PixelScan&, unsigned);
template void scatter_pixels(const float*, float*, size_t, const PixelScan&, unsigned);
template void scatter_pixels(const double*, double*, size_t, const PixelScan&, unsigned);

}  // namespace joseph
