#include "ray2d/joseph.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "dispatch.hpp"
#include "ray2d/fixed.hpp"
#include "ray2d/layout.hpp"
#include "parallel.hpp"

namespace joseph {
namespace {

constexpr Axis kAxes[2] = {kRows, kColumns};
constexpr std::size_t kCache = std::size_t{384} << 10;  // bytes of images that are walked at once

std::size_t pieces(std::size_t total, std::size_t size) { return (total + size - 1) / size; }

// Images in groups of 4, 2 or 1: as many share the weights of a ray.
struct Groups {
    std::size_t batch;

    std::size_t count() const { return batch / 4 + (batch % 4 + 1) / 2; }
    std::size_t first(std::size_t group) const {
        return std::min(4 * group, batch / 4 * 4 + 2 * (group - std::min(group, batch / 4)));
    }
    int images(std::size_t group) const {
        const std::size_t left = batch - first(group);
        return left >= 4 ? 4 : left >= 2 ? 2 : 1;
    }
};

template <typename T>
struct Job {
    const Geometry& geometry;
    const Views& views;
    const Kernels<T>& kernels;
    unsigned threads;
    Groups groups;

    std::size_t pixels() const { return static_cast<std::size_t>(geometry.ny * geometry.nx); }
    std::size_t rays() const { return geometry.angles * geometry.detectors; }
    Sheets sheets(Axis axis) const {
        const std::ptrdiff_t rows = axis == kRows ? geometry.ny : geometry.nx;
        const std::ptrdiff_t columns = axis == kRows ? geometry.nx : geometry.ny;
        const std::ptrdiff_t stride = columns + kFrame;
        return {rows, columns, stride, rows * stride + kFrame};
    }
    // Waking a thread costs about as much as 20 000 updates.
    unsigned team(std::size_t updates) const {
        return static_cast<unsigned>(std::clamp<std::size_t>(updates / 20'000, 1, threads));
    }
};

template <typename T>
class Framed {
public:
    Framed(std::size_t images, Sheets size)
        : numbers_(images * static_cast<std::size_t>(size.image_stride) + 2 * kFrame) {
        for (std::size_t image = 0; image <= images; ++image) {
            std::fill_n(numbers_.data() + image * static_cast<std::size_t>(size.image_stride),
                        kFrame, T(0));
        }
        std::fill_n(numbers_.data() + images * static_cast<std::size_t>(size.image_stride),
                    2 * kFrame, T(0));
    }
    T* origin() { return numbers_.data() + kFrame; }

private:
    Buffer<T> numbers_;
};

// The rays of one axis as the kernels take them; fine parallel views need no table, nor do
// coarse ones in the forward transform.
template <typename T>
class FixedRays {
    using Word = typename Bits<T>::Unsigned;

public:
    FixedRays(const Job<T>& job, Axis axis, bool lines_too)
        : kernels_(job.kernels),
          lines_too_(lines_too),
          fan_(job.geometry.fan),
          rows_(job.sheets(axis).rows),
          detectors_(static_cast<std::ptrdiff_t>(job.geometry.detectors)),
          places_(1, lines(wanted(job, axis), detectors_)),
          slopes_(1, lines(wanted(job, axis), fan_ ? detectors_ : rows_)) {
        const auto& views = job.views.of(axis);
        parallel_for(views.size(), job.team(views.size() * job.geometry.detectors),
                     [&](unsigned, std::size_t v) {
                         if (fan_) set_fan(views[v], v);
                         if (coarse(views[v])) set_lines(views[v], v);
                     });
    }
    Rays<T> of(const View& view, std::size_t v) {
        if (!fan_ && !coarse(view)) return {nullptr, nullptr, 0};
        return {place(v), slope(v), rows_ / 2};
    }

private:
    bool coarse(const View& view) const {
        return lines_too_ && !view.fan && view.regular && std::fabs(view.step) >= kCoarsePitch;
    }
    std::size_t wanted(const Job<T>& job, Axis axis) const {
        const auto& views = job.views.of(axis);
        const bool any = job.geometry.fan || std::any_of(views.begin(), views.end(),
                                                           [&](const View& v) { return coarse(v); });
        return any ? views.size() : 0;
    }
    static Sheets lines(std::size_t views, std::ptrdiff_t length) {
        const auto count = static_cast<std::ptrdiff_t>(views);
        return {count, length, length + kFrame, count * (length + kFrame) + kFrame};
    }
    Word* place(std::size_t v) {
        return places_.origin() + static_cast<std::ptrdiff_t>(v) * (detectors_ + kFrame);
    }
    Word* slope(std::size_t v) {
        return slopes_.origin() +
               static_cast<std::ptrdiff_t>(v) * ((fan_ ? detectors_ : rows_) + kFrame);
    }
    void set_fan(const View& view, std::size_t v) {
        Word* places = place(v);
        Word* slopes = slope(v);
        for (Word* row : {places, slopes}) {
            std::fill_n(row, view.begin, Word(0));
            std::fill(row + view.end, row + detectors_ + kFrame, Word(0));
        }
        const double middle = static_cast<double>(rows_ / 2);
        for (std::ptrdiff_t d = view.begin; d < view.end; ++d) {
            const double x = view.intercepts[d] + view.slopes[d] * middle;
            places[d] = Fixed<T>::of(std::max(-kFarAway, std::min(x, kFarAway))).word();
            slopes[d] = fixed_slope<T>(view.slopes[d]);
        }
    }
    void set_lines(const View& view, std::size_t v) {
        Word* places = place(v);
        Word* intercepts = slope(v);
        kernels_.fix(0, view.step, detectors_, places);
        kernels_.fix(view.intercept, view.slope, rows_, intercepts);
        std::fill_n(places + detectors_, kFrame, Word(0));
        std::fill_n(intercepts + rows_, kFrame, Word(0));
    }

    const Kernels<T>& kernels_;
    bool lines_too_, fan_;
    std::ptrdiff_t rows_, detectors_;
    Framed<Word> places_, slopes_;
};

template <typename T>
void forward_axis(const Job<T>& job, const T* images, T* data, Axis axis) {
    const auto& views = job.views.of(axis);
    const Sheets size = job.sheets(axis);
    const std::size_t batch = job.groups.batch, rows = static_cast<std::size_t>(size.rows);
    Framed<T> framed(batch, size);
    T* origin = framed.origin();
    FixedRays<T> rays(job, axis, false);

    const std::size_t strips = pieces(rows, kCopyTile);
    parallel_for(batch * strips, job.team(batch * job.pixels()), [&](unsigned, std::size_t task) {
        const std::size_t image = task / strips;
        const auto first = static_cast<std::ptrdiff_t>(task % strips) * kCopyTile;
        fill_sheet(images + image * job.pixels(), axis, size, first,
                   std::min(first + kCopyTile, size.rows),
                   origin + image * static_cast<std::size_t>(size.image_stride));
    });

    const std::size_t row_bytes = static_cast<std::size_t>(size.stride) * sizeof(T);
    const auto block = static_cast<std::ptrdiff_t>(
        std::max<std::size_t>(kCache / kMostImages / row_bytes, 32) / 32 * 32);
    const unsigned team = job.team(batch * rows * views.size() * job.geometry.detectors);
    const std::size_t chunk = std::max<std::size_t>(1, views.size() / (8 * team));
    const std::size_t chunks = pieces(views.size(), chunk);
    parallel_for(job.groups.count() * chunks, team, [&](unsigned, std::size_t task) {
        const std::size_t group = task / chunks, begin = task % chunks * chunk;
        const std::size_t image = job.groups.first(group);
        const std::size_t end = std::min(begin + chunk, views.size());
        const T* from = origin + image * static_cast<std::size_t>(size.image_stride);
        const std::ptrdiff_t height = block * (kMostImages / job.groups.images(group));
        for (std::ptrdiff_t row = 0; row < size.rows; row += height) {
            for (std::size_t v = begin; v < end; ++v) {
                T* to = data + image * job.rays() +
                        static_cast<std::size_t>(views[v].angle) * job.geometry.detectors;
                job.kernels.project(from, size, job.groups.images(group), views[v],
                                    rays.of(views[v], v),
                                    {row, std::min(row + height, size.rows), block},
                                    {to, static_cast<std::ptrdiff_t>(job.rays()), row > 0});
            }
        }
    });
}

// One framed row for each view: its data times the weights, and zero beyond its rays.
template <typename T>
void weigh(const Job<T>& job, const View& view, const T* data, T* to) {
    const auto detectors = static_cast<std::ptrdiff_t>(job.geometry.detectors);
    const T* from = data + view.angle * detectors;
    std::fill_n(to, view.begin, T(0));
    std::fill(to + view.end, to + detectors + kFrame, T(0));
    for (std::ptrdiff_t d = view.begin; d < view.end; ++d) {
        double weight = view.weight;
        if (view.fan) {
            const double rise = view.slopes[d] * view.rise;
            weight = std::sqrt(view.run * view.run + rise * rise);
        }
        to[d] = from[d] * static_cast<T>(weight);
    }
}

// The views of one axis as the adjoint takes them, those of a kind together.
template <typename T>
class Tracks {
public:
    Tracks(const Job<T>& job, const std::vector<View>& views, Sheets size, const T* data,
           FixedRays<T>& rays, Sheets lines)
        : memory_((views.size() + 1) * job.kernels.track_bytes) {
        const std::size_t size_of = job.kernels.track_bytes;
        Buffer<unsigned char> prepared((views.size() + 1) * size_of);
        std::vector<std::pair<int, std::size_t>> order;
        for (std::size_t v = 0; v < views.size(); ++v) {
            const auto row = static_cast<std::ptrdiff_t>(v) * lines.stride;
            const int kind = job.kernels.prepare(
                views[v], size, data + row, lines.image_stride, rays.of(views[v], v),
                reinterpret_cast<Track<T>*>(prepared.data() + v * size_of));
            if (kind < 0) {
                irregular_.push_back(v);
            } else {
                order.emplace_back(kind, v);
            }
        }
        std::sort(order.begin(), order.end());
        for (std::size_t slot = 0; slot < order.size(); ++slot) {
            std::copy_n(prepared.data() + order[slot].second * size_of, size_of,
                        memory_.data() + slot * size_of);
        }
        count_ = static_cast<std::ptrdiff_t>(order.size());
    }
    const Track<T>* first() const { return reinterpret_cast<const Track<T>*>(memory_.data()); }
    std::ptrdiff_t count() const { return count_; }
    const std::vector<std::size_t>& irregular() const { return irregular_; }

private:
    Buffer<unsigned char> memory_;
    std::ptrdiff_t count_ = 0;
    std::vector<std::size_t> irregular_;
};

template <typename T>
void adjoint_axis(const Job<T>& job, const T* data, T* images, Axis axis, bool add) {
    const auto& views = job.views.of(axis);
    const Sheets size = job.sheets(axis);
    const std::size_t batch = job.groups.batch;
    const auto stride = static_cast<std::ptrdiff_t>(job.geometry.detectors) + kFrame;
    const auto count = static_cast<std::ptrdiff_t>(views.size());
    const Sheets lines{count, stride - kFrame, stride, count * stride + kFrame};
    Framed<T> framed(batch, lines);
    T* origin = framed.origin();
    parallel_for(batch * views.size(), job.team(batch * views.size() * job.geometry.detectors),
                 [&](unsigned, std::size_t task) {
                     const std::size_t image = task / views.size(), v = task % views.size();
                     weigh(job, views[v], data + image * job.rays(),
                           origin + image * static_cast<std::size_t>(lines.image_stride) +
                               static_cast<std::ptrdiff_t>(v) * stride);
                 });

    FixedRays<T> rays(job, axis, true);
    const Tracks<T> tracks(job, views, size, origin, rays, lines);
    const std::ptrdiff_t row_step = axis == kRows ? job.geometry.nx : 1;
    const std::ptrdiff_t column_step = axis == kRows ? 1 : job.geometry.nx;
    const std::size_t strips = pieces(static_cast<std::size_t>(size.rows), kTileRows);
    const unsigned team = job.team(batch * job.rays() * static_cast<std::size_t>(size.rows));
    parallel_for(job.groups.count() * strips, team, [&](unsigned, std::size_t task) {
        const std::size_t group = task / strips, image = job.groups.first(group);
        const int together = job.groups.images(group);
        const auto first = static_cast<std::ptrdiff_t>(task % strips) * kTileRows;
        const Target<T> target{images + image * job.pixels(),
                               static_cast<std::ptrdiff_t>(job.pixels()), row_step, column_step,
                               add};
        job.kernels.gather(tracks.first(), tracks.count(), size, together,
                           static_cast<std::ptrdiff_t>(image) * lines.image_stride, first,
                           target);
        for (const std::size_t v : tracks.irregular()) {
            for (int i = 0; i < together; ++i) {
                Target<T> one = target;
                one.first += i * target.image_stride;
                job.kernels.scatter(
                    views[v], rays.of(views[v], v), size,
                    origin + (image + static_cast<std::size_t>(i)) *
                                 static_cast<std::size_t>(lines.image_stride) +
                        static_cast<std::ptrdiff_t>(v) * stride,
                    first, std::min(first + kTileRows, size.rows), one);
            }
        }
    });
}

}  // namespace

template <typename T>
void forward(const T* image, T* data, std::size_t batch, const Geometry& geometry,
             unsigned threads) {
    const Views views(geometry, threads);
    const Job<T> job{geometry, views, chosen_kernels<T>(), std::max(threads, 1u), {batch}};
    for (const Axis axis : kAxes) {
        if (!views.of(axis).empty()) forward_axis(job, image, data, axis);
    }
}

template <typename T>
void adjoint(const T* data, T* image, std::size_t batch, const Geometry& geometry,
             unsigned threads) {
    const Views views(geometry, threads);
    const Job<T> job{geometry, views, chosen_kernels<T>(), std::max(threads, 1u), {batch}};
    bool add = false;
    for (const Axis axis : kAxes) {
        if (views.of(axis).empty()) continue;
        adjoint_axis(job, data, image, axis, add);
        add = true;
    }
    if (!add) std::fill_n(image, batch * job.pixels(), T(0));
}

template void forward(const float*, float*, std::size_t, const Geometry&, unsigned);
template void forward(const double*, double*, std::size_t, const Geometry&, unsigned);
template void adjoint(const float*, float*, std::size_t, const Geometry&, unsigned);
template void adjoint(const double*, double*, std::size_t, const Geometry&, unsigned);

}  // namespace joseph
