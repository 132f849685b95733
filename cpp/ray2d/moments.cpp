#include "ray2d/moments.hpp"

#include <algorithm>
#include <cmath>

#include "memory.hpp"
#include "parallel.hpp"

namespace joseph {
namespace {

constexpr std::size_t kLanes = 8;   // rays that are summed side by side
constexpr std::size_t kBefore = 2;  // zeros before a row: positions are clamped to -2
constexpr std::size_t kAfter = 3;   // zeros behind it: and to `across + 1`, which reads one more

// The image with the axis that rays walk along first, framed with zeros in every row.
template <typename T>
class Framed {
public:
    Framed(const T* image, std::size_t steps, std::size_t across, std::size_t step_stride,
           std::size_t across_stride)
        : steps_(steps), across_(across), pixels_(steps * stride()) {
        std::fill_n(pixels_.data(), steps * stride(), T(0));
        for (std::size_t i = 0; i < steps; ++i) {
            T* row = pixels_.data() + i * stride() + kBefore;
            for (std::size_t k = 0; k < across; ++k) {
                row[k] = image[i * step_stride + k * across_stride];
            }
        }
    }

    std::size_t steps() const { return steps_; }
    double across() const { return static_cast<double>(across_); }
    std::size_t stride() const { return across_ + kBefore + kAfter; }
    // The largest position in a row, counted from the start of its frame.
    double last() const { return static_cast<double>(across_ + 1 + kBefore); }
    const T* row(std::size_t i) const { return pixels_.data() + i * stride(); }

private:
    std::size_t steps_, across_;
    Buffer<T> pixels_;
};

struct Sums {
    double difference[kLanes] = {}, moment[kLanes] = {}, value[kLanes] = {};
};

// The steps in which a ray may be inside of the image, one more on either side.
struct Steps {
    double first, last;
};

Steps steps_inside(double intercept, double slope, double steps, double across) {
    const double enters = (-1.0 - intercept) / slope, leaves = (across - intercept) / slope;
    if (!std::isfinite(enters) || !std::isfinite(leaves)) return {0.0, steps};
    const double low = std::min(enters, leaves), high = std::max(enters, leaves);
    return {std::clamp(std::floor(low) - 1.0, 0.0, steps),
            std::clamp(std::ceil(high) + 2.0, 0.0, steps)};
}

template <typename T>
Sums sum_along(const Framed<T>& image, const double* intercept, const double* slope,
               std::size_t rays) {
    double start[kLanes] = {}, step[kLanes] = {};
    const double all = static_cast<double>(image.steps());
    Steps inside{all, 0.0};
    for (std::size_t ray = 0; ray < rays; ++ray) {
        start[ray] = intercept[ray] + static_cast<double>(kBefore);
        step[ray] = slope[ray];
        const Steps own = steps_inside(intercept[ray], slope[ray], all, image.across());
        inside = {std::min(inside.first, own.first), std::max(inside.last, own.last)};
    }
    Sums sums;
    const double last = image.last();
    const auto stop = static_cast<std::size_t>(inside.last);
    for (auto i = static_cast<std::size_t>(inside.first); i < stop; ++i) {
        const T* row = image.row(i);
        const double at = static_cast<double>(i);
        for (std::size_t ray = 0; ray < kLanes; ++ray) {
            double position = start[ray] + step[ray] * at;
            position = position > 0.0 ? position : 0.0;  // also where it is not a number
            position = position < last ? position : last;
            const auto k = static_cast<std::int32_t>(position);
            const double left = static_cast<double>(row[k]);
            const double rise = static_cast<double>(row[k + 1]) - left;
            sums.difference[ray] += rise;
            sums.moment[ray] += at * rise;
            sums.value[ray] += left + (position - static_cast<double>(k)) * rise;
        }
    }
    return sums;
}

}  // namespace

template <typename T>
void moments(const T* image, std::size_t ny, std::size_t nx, const Lines& lines, double* out,
             unsigned threads) {
    const Framed<T> by_rows(image, ny, nx, nx, 1), by_columns(image, nx, ny, 1, nx);
    const std::size_t all = lines.angles * lines.detectors;
    const bool small = all * std::max(ny, nx) < 50'000;
    parallel_for(lines.angles, small ? 1 : threads, [&](unsigned, std::size_t angle) {
        const std::size_t stop = (angle + 1) * lines.detectors;
        for (std::size_t begin = angle * lines.detectors, end; begin < stop; begin = end) {
            const bool rows = lines.by_rows[begin] != 0;
            end = begin + 1;
            while (end < std::min(stop, begin + kLanes) && (lines.by_rows[end] != 0) == rows) ++end;
            const std::size_t rays = end - begin;
            const Sums sums = sum_along(rows ? by_rows : by_columns, lines.intercept + begin,
                                        lines.slope + begin, rays);
            std::copy_n(sums.difference, rays, out + begin);
            std::copy_n(sums.moment, rays, out + all + begin);
            std::copy_n(sums.value, rays, out + 2 * all + begin);
        }
    });
}

template void moments(const float*, std::size_t, std::size_t, const Lines&, double*, unsigned);
template void moments(const double*, std::size_t, std::size_t, const Lines&, double*, unsigned);

}  // namespace joseph
