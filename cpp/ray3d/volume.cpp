#include "ray3d/volume.hpp"

#include <algorithm>

#include "dispatch.hpp"
#include "parallel.hpp"
#include "ray3d/layout.hpp"

namespace joseph {
namespace {

constexpr std::size_t kTableRays = 65'536;  // rays that are in a table at the same time
constexpr std::size_t kPiece = 512;         // of them, in a task
constexpr std::size_t kSums = 1 << 22;       // bytes of the sums of a task
constexpr std::size_t kSlices = 1 << 21;     // bytes of the slices of a task

template <typename T>
struct VolumeJob {
    const VolumeGeometry& geometry;
    const VolumePlan& plan;
    const VolumeKernels<T>& kernels;
    unsigned threads;

    bool combed() const { return !plan.combs(0).empty() || !plan.combs(1).empty(); }
    // Starting a thread costs about as much as 50 000 updates.
    unsigned team(std::size_t updates) const {
        return static_cast<unsigned>(std::clamp<std::size_t>(updates / 50'000, 1, threads));
    }
    std::ptrdiff_t longest_comb() const {
        std::ptrdiff_t longest = 0;
        for (int i = 0; i < 2; ++i) {
            for (const Comb& comb : plan.combs(i)) {
                longest = std::max<std::ptrdiff_t>(longest, comb.count);
            }
        }
        return longest;
    }
    std::size_t updates(int i) const {
        const auto slices = static_cast<std::size_t>(geometry.shape[plan.other_axis(i)]);
        return plan.combs(i).size() * slices * static_cast<std::size_t>(longest_comb());
    }
    template <typename U>
    Slices<U> slices(int axis, U* volume) const {
        const int a = axis == 0 ? 1 : 0, b = axis == 2 ? 1 : 2;
        return {volume, geometry.shape[axis], {geometry.shape[a], geometry.shape[b]},
                geometry.stride(axis), {geometry.stride(a), geometry.stride(b)}};
    }
};

// As parallel_for; tasks that run at the same time are far apart, so that no thread fetches ahead
// what another one is writing.
template <typename Body>
void parallel_far_apart(std::size_t tasks, unsigned team, const Body& body) {
    const std::size_t share = (tasks + team - 1) / team;
    parallel_for(share * team, team, [&](unsigned worker, std::size_t turn) {
        const std::size_t task = turn % team * share + turn / team;
        if (task < tasks) body(worker, task);
    });
}

struct CombTask {
    int axis;
    std::size_t begin, end;
};

// Combs whose sums stay in a cache, and enough tasks for all threads.
template <typename T>
std::vector<CombTask> comb_tasks(const VolumeJob<T>& job, std::ptrdiff_t stride) {
    std::vector<CombTask> tasks;
    for (int axis = 0; axis < 2; ++axis) {
        const std::size_t total = job.plan.combs(axis).size();
        const std::size_t fitting = kSums / (static_cast<std::size_t>(stride) * sizeof(T));
        const std::size_t size =
            std::max<std::size_t>(std::min(fitting, total / (4 * job.threads)), 16);
        for (std::size_t begin = 0; begin < total; begin += size) {
            tasks.push_back({axis, begin, std::min(begin + size, total)});
        }
    }
    return tasks;
}

template <typename T>
void forward_combs(const VolumeJob<T>& job, const T* volume, T* data) {
    LineVolume<T> lines(job.geometry, job.plan);
    const unsigned team = job.team(job.updates(0) + job.updates(1));
    parallel_for(lines.rows(), team,
                 [&](unsigned, std::size_t row) { lines.read(volume, row); });

    const std::ptrdiff_t stride = odd_lines<T>(round_up(job.longest_comb(), kRound));
    const std::vector<CombTask> tasks = comb_tasks(job, stride);
    std::size_t most = 0;
    for (const CombTask& task : tasks) most = std::max(most, task.end - task.begin);
    const std::ptrdiff_t blank = lines.line_size();
    const std::ptrdiff_t scratch = 2 * kSteps * (blank + 2 * kMargin);
    const std::ptrdiff_t own = blank + scratch + static_cast<std::ptrdiff_t>(most) * stride;
    Buffer<T> memory(team * static_cast<std::size_t>(own));
    std::fill_n(memory.data(), team * static_cast<std::size_t>(own), T(0));

    parallel_for(tasks.size(), team, [&](unsigned worker, std::size_t number) {
        const CombTask& task = tasks[number];
        const Comb* combs = job.plan.combs(task.axis).data() + task.begin;
        const auto count = static_cast<std::ptrdiff_t>(task.end - task.begin);
        T* zero = memory.data() + worker * own;
        T* sums = zero + blank + scratch;
        std::fill_n(sums, count * stride, T(0));
        const Brick<T> b = lines.brick(task.axis, zero);
        const Brick<const T> brick{b.origin, b.blank, b.slices, b.lines,
                                   b.length, b.slice_stride, b.line_stride};
        for (std::ptrdiff_t first = 0; first < brick.slices; first += kSteps) {
            job.kernels.sample(brick, combs, count, first, std::min(first + kSteps, brick.slices),
                               sums, stride, zero + blank);
        }
        for (std::ptrdiff_t c = 0; c < count; ++c) job.kernels.weigh(combs[c], sums + c * stride);
        each_ray(combs, count, sums, stride, data, [](T sum, T& target) { target = sum; });
    });
}

// Data times weights, combs contiguous with margins between them.
template <typename T>
class Columns {
public:
    Columns(const VolumeJob<T>& job, const T* data, unsigned team)
        : stride_(odd_lines<T>(round_up(job.longest_comb(), kRound) + kCombMargin)),
          first_{0, job.plan.combs(0).size()},
          buffer_((first_[1] + job.plan.combs(1).size() + 1) * static_cast<std::size_t>(stride_)) {
        const std::vector<CombTask> tasks = comb_tasks(job, stride_);
        std::fill_n(buffer_.data(), stride_, T(0));
        parallel_for(tasks.size(), team, [&](unsigned, std::size_t number) {
            const CombTask& task = tasks[number];
            const Comb* combs = job.plan.combs(task.axis).data() + task.begin;
            const auto count = static_cast<std::ptrdiff_t>(task.end - task.begin);
            T* columns = of(task.axis) + static_cast<std::ptrdiff_t>(task.begin) * stride_;
            std::fill_n(columns, count * stride_, T(0));
            each_ray(combs, count, columns, stride_, data,
                     [](T& target, T value) { target = value; });
            for (std::ptrdiff_t c = 0; c < count; ++c) {
                job.kernels.weigh(combs[c], columns + c * stride_);
            }
        });
    }
    std::ptrdiff_t stride() const { return stride_; }
    T* of(int axis) {
        return buffer_.data() + kCombMargin + static_cast<std::ptrdiff_t>(first_[axis]) * stride_;
    }

private:
    std::ptrdiff_t stride_;
    std::size_t first_[2];
    Buffer<T> buffer_;
};

// Slices are independent: every thread owns some of them, runs through all combs and adds to their
// lines, so there are no atomic additions and no volume per thread.
template <typename T>
void adjoint_combs(const VolumeJob<T>& job, const T* data, T* volume) {
    const unsigned team = job.team(job.updates(0) + job.updates(1));
    Columns<T> columns(job, data, team);
    LineVolume<T> lines(job.geometry, job.plan);
    parallel_for(lines.rows(), team, [&](unsigned, std::size_t row) { lines.clear(row); });
    Buffer<T> blanks(team * static_cast<std::size_t>(lines.line_size()));
    std::fill_n(blanks.data(), team * static_cast<std::size_t>(lines.line_size()), T(0));
    for (int axis = 0; axis < 2; ++axis) {
        const std::vector<Comb>& combs = job.plan.combs(axis);
        if (combs.empty()) continue;
        const Brick<T> size = lines.brick(axis, nullptr);
        const auto slice = static_cast<std::size_t>(size.lines * lines.line_size()) * sizeof(T);
        const std::size_t fitting = std::clamp<std::size_t>(kSlices / slice, 2, kSteps);
        const std::size_t fair = static_cast<std::size_t>(size.slices) / (4 * job.threads);
        const auto depth =
            static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(fair, 1, fitting));
        const auto blocks = static_cast<std::size_t>((size.slices + depth - 1) / depth);
        parallel_far_apart(blocks, team, [&](unsigned worker, std::size_t block) {
            T* blank = blanks.data() + static_cast<std::ptrdiff_t>(worker) * lines.line_size();
            const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(block) * depth;
            job.kernels.smear(lines.brick(axis, blank), combs.data(),
                              static_cast<std::ptrdiff_t>(combs.size()), first,
                              std::min(first + depth, size.slices), columns.of(axis),
                              columns.stride());
        });
    }
    parallel_for(lines.rows(), team,
                 [&](unsigned, std::size_t row) { lines.write(volume, row); });
}

// Calls body(table) for tables of a bounded number of rays that are in no comb.
template <typename T, typename Body>
void each_table(const VolumeJob<T>& job, const Body& body) {
    const auto& segments = job.plan.segments();
    if (segments.empty()) return;
    RayTable table(std::max(kTableRays, job.geometry.columns));
    for (std::size_t begin = 0, end = 0; begin < segments.size(); begin = end) {
        std::size_t rays = 0;
        do {
            rays += segments[end].end - segments[end].begin;
            ++end;
        } while (end < segments.size() &&
                 rays + segments[end].end - segments[end].begin <= kTableRays);
        table.fill(job.geometry, segments.data() + begin, end - begin, job.team(rays * 64));
        body(table);
    }
}

template <typename T>
void forward_rays(const VolumeJob<T>& job, const T* volumes, T* data, std::size_t batch) {
    each_table(job, [&](const RayTable& table) {
        for (int axis = 0; axis < 3; ++axis) {
            const std::size_t count = table.count(axis), pieces = (count + kPiece - 1) / kPiece;
            const auto slices = static_cast<std::size_t>(job.geometry.shape[axis]);
            parallel_for(batch * pieces, job.team(batch * count * slices * 4),
                         [&](unsigned, std::size_t task) {
                             const std::size_t item = task / pieces;
                             const std::size_t begin = task % pieces * kPiece;
                             const T* volume = volumes + item * job.geometry.voxels();
                             job.kernels.project(
                                 job.slices(axis, volume),
                                 table.rays(axis, begin, std::min(begin + kPiece, count)),
                                 data + item * job.geometry.rays());
                         });
        }
    });
}

template <typename T>
void adjoint_rays(const VolumeJob<T>& job, const T* data, T* volumes, std::size_t batch) {
    each_table(job, [&](const RayTable& table) {
        for (int axis = 0; axis < 3; ++axis) {
            const std::size_t count = table.count(axis);
            if (count == 0) continue;
            const std::ptrdiff_t slices = job.geometry.shape[axis];
            const auto blocks = static_cast<std::size_t>((slices + kSteps - 1) / kSteps);
            const std::size_t updates = batch * count * static_cast<std::size_t>(slices);
            const unsigned team = job.team(updates * 4);
            parallel_far_apart(batch * blocks, team, [&](unsigned, std::size_t task) {
                const std::size_t item = task / blocks;
                const auto first = static_cast<std::ptrdiff_t>(task % blocks) * kSteps;
                T* volume = volumes + item * job.geometry.voxels();
                job.kernels.backproject(job.slices(axis, volume), table.rays(axis, 0, count),
                                        first, std::min(kSteps, slices - first),
                                        data + item * job.geometry.rays());
            });
        }
    });
}

}  // namespace

template <typename T>
void forward3d(const T* volume, T* data, std::size_t batch, const VolumeGeometry& geometry,
               unsigned threads) {
    const VolumePlan plan(geometry, threads);
    const VolumeJob<T> job{geometry, plan, chosen_volume_kernels<T>(), std::max(threads, 1u)};
    if (job.combed()) {
        for (std::size_t item = 0; item < batch; ++item) {
            forward_combs(job, volume + item * geometry.voxels(), data + item * geometry.rays());
        }
    }
    forward_rays(job, volume, data, batch);
}

template <typename T>
void adjoint3d(const T* data, T* volume, std::size_t batch, const VolumeGeometry& geometry,
               unsigned threads) {
    const VolumePlan plan(geometry, threads);
    const VolumeJob<T> job{geometry, plan, chosen_volume_kernels<T>(), std::max(threads, 1u)};
    if (job.combed()) {
        for (std::size_t item = 0; item < batch; ++item) {
            adjoint_combs(job, data + item * geometry.rays(), volume + item * geometry.voxels());
        }
    } else {
        std::fill_n(volume, batch * geometry.voxels(), T(0));
    }
    adjoint_rays(job, data, volume, batch);
}

template void forward3d(const float*, float*, std::size_t, const VolumeGeometry&, unsigned);
template void forward3d(const double*, double*, std::size_t, const VolumeGeometry&, unsigned);
template void adjoint3d(const float*, float*, std::size_t, const VolumeGeometry&, unsigned);
template void adjoint3d(const double*, double*, std::size_t, const VolumeGeometry&, unsigned);

}  // namespace joseph
