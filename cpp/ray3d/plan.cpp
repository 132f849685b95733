#include "ray3d/plan.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "parallel.hpp"
#include "ray3d/pose.hpp"

namespace joseph {
namespace {

constexpr double kMiss = -1e9;     // an intercept left of every volume
constexpr double kParallel = 1e-13;  // voxels by which a detector may leave an axis
// Voxels between neighbouring rays of a comb, as the windows of smear and sample want them.
constexpr double kFinest = 0.6, kCoarsest = 4;
constexpr int kMostParts = 8;
constexpr std::size_t kSmall = 50'000;  // rays that are planned faster by one thread

// Along which axis the rows (or columns) of the detector are, if any.
std::optional<int> parallel_axis(const VolumeGeometry& g, const Pose& pose, bool rows) {
    const double last = static_cast<double>((rows ? g.rows : g.columns) - 1);
    for (int axis = 0; axis < 3; ++axis) {
        double away = 0;
        for (const int other : kAcross[axis]) {
            away = std::max(away, std::fabs(pose.step(rows, other) * last) / g.voxel[other]);
        }
        if (pose.step(rows, axis) != 0 && away <= kParallel) return axis;
    }
    return std::nullopt;
}

// Rays of a detector column (rows = true: they are stepped through by rows) or row.
struct Line {
    bool rows;
    std::size_t fixed, count;

    std::size_t row(std::size_t n) const { return rows ? n : fixed; }
    std::size_t column(std::size_t n) const { return rows ? fixed : n; }
};

// The slices in which start + lean * i is between -1 and n.
void set_range(Comb& comb, std::ptrdiff_t slices, std::ptrdiff_t n) {
    const double right = static_cast<double>(n), last = static_cast<double>(slices);
    comb.first = 0;
    comb.last = static_cast<std::int32_t>(slices);
    if (comb.lean == 0) {
        if (!(comb.start > -1 && comb.start < right)) comb.last = 0;
        return;
    }
    const double a = (-1 - comb.start) / comb.lean, b = (right - comb.start) / comb.lean;
    const double low = std::floor(std::min(a, b)) + 1, high = std::ceil(std::max(a, b));
    comb.first = static_cast<std::int32_t>(std::clamp(low, 0.0, last));
    comb.last = static_cast<std::int32_t>(std::clamp(high, 0.0, last));
}

void reverse(Comb& comb) {
    const double last = comb.count - 1;
    comb.origin += comb.pitch * last;
    comb.tilt += comb.spread * last;
    comb.pitch = -comb.pitch;
    comb.spread = -comb.spread;
    comb.pixel += static_cast<std::size_t>(comb.stride * (comb.count - 1));
    comb.stride = -comb.stride;
}

// Every `parts`-th ray, beginning with ray `part`.
Comb part_of(const Comb& comb, int part, int parts) {
    Comb result = comb;
    result.origin += comb.pitch * part;
    result.tilt += comb.spread * part;
    result.pitch *= parts;
    result.spread *= parts;
    result.pixel += static_cast<std::size_t>(comb.stride * part);
    result.stride *= parts;
    result.count = (comb.count - part + parts - 1) / parts;
    return result;
}

// At most `count` rays, beginning with ray `first`.
Comb stretch_of(const Comb& comb, std::int32_t first, std::int32_t count) {
    Comb result = part_of(comb, first, 1);
    result.count = std::min(result.count, count);
    return result;
}

struct AnglePlan {
    std::vector<Comb> combs[2];
    std::vector<Line> loose;
};

class Planner {
public:
    Planner(const VolumeGeometry& g, int line_axis, std::size_t angle)
        : g_(g), pose_(g, angle), angle_(angle), line_axis_(line_axis) {}

    AnglePlan plan() const {
        AnglePlan result;
        const bool by_rows = parallel_axis(g_, pose_, true) == line_axis_;
        const bool combed = by_rows || parallel_axis(g_, pose_, false) == line_axis_;
        const bool rows = by_rows || !combed;
        const std::size_t lines = rows ? g_.columns : g_.rows;
        for (std::size_t fixed = 0; fixed < lines; ++fixed) {
            const Line line{rows, fixed, rows ? g_.rows : g_.columns};
            if (!combed || !add_combs(line, result)) result.loose.push_back(line);
        }
        return result;
    }

private:
    bool add_combs(const Line& line, AnglePlan& result) const {
        const int axis = pose_.main_axis(line.row(0), line.column(0));
        const std::size_t last = line.count - 1;
        // Between the ends, direction is monotone along the line and constant across it.
        if (axis == line_axis_ || axis != pose_.main_axis(line.row(last), line.column(last))) {
            return false;
        }
        Comb comb = comb_of(line, axis);
        if (!(std::fabs(comb.start) < 1e8 && std::fabs(comb.lean) <= 1 &&
              std::fabs(comb.origin) < 1e8 && std::fabs(comb.tilt) <= 1 &&
              std::fabs(comb.pitch) < 1e8 && std::isfinite(comb.spread))) {
            return false;
        }
        const int minor = 3 - axis - line_axis_;
        set_range(comb, g_.shape[axis], g_.shape[minor]);
        const int parts = comb.first < comb.last ? parts_of(comb) : 1;
        if (parts == 0) return false;
        auto& combs = result.combs[axis > minor];
        for (int part = 0; part < std::min(parts, comb.count); ++part) {
            const Comb all = part_of(comb, part, parts);
            for (std::int32_t ray = 0; ray < all.count; ray += kMostRays) {
                combs.push_back(stretch_of(all, ray, kMostRays));
            }
        }
        return true;
    }

    Comb comb_of(const Line& line, int axis) const {
        const std::size_t row = line.row(0), column = line.column(0);
        const int minor = 3 - axis - line_axis_;
        const double along = pose_.direction(row, column, axis);
        const double here = pose_.index(row, column, axis);
        const double step = pose_.step(line.rows, line_axis_) / g_.voxel[line_axis_];
        Comb comb;
        comb.lean = pose_.direction(row, column, minor) / along;
        comb.start = pose_.index(row, column, minor) - comb.lean * here;
        comb.tilt = pose_.direction(row, column, line_axis_) / along;
        comb.origin = pose_.index(row, column, line_axis_) - comb.tilt * here;
        comb.spread = g_.cone ? step / along : 0;
        comb.pitch = step - comb.spread * here;
        const double rise = comb.lean * g_.voxel[minor];
        comb.across = g_.voxel[axis] * g_.voxel[axis] + rise * rise;
        comb.voxel = g_.voxel[line_axis_];
        comb.count = static_cast<std::int32_t>(line.count);
        comb.pixel = (angle_ * g_.rows + row) * g_.columns + column;
        comb.stride = line.rows ? static_cast<std::ptrdiff_t>(g_.columns) : 1;
        return comb;
    }

    // In how many parts a comb is coarse enough, after turning it so that rays ascend; 0 if none.
    static int parts_of(Comb& comb) {
        if (comb.pitch + comb.spread * comb.first < 0) reverse(comb);
        const double a = comb.pitch + comb.spread * comb.first;
        const double b = comb.pitch + comb.spread * (comb.last - 1);
        const double finest = std::min(a, b), coarsest = std::max(a, b);
        if (!(finest > 0)) return 0;
        const double parts = std::ceil(std::max(1.0, kFinest / finest));
        return parts <= kMostParts && coarsest * parts <= kCoarsest ? static_cast<int>(parts) : 0;
    }

    const VolumeGeometry& g_;
    Pose pose_;
    std::size_t angle_;
    int line_axis_;
};

// The axis to which the detectors of most angles are parallel; z if none is.
int most_parallel_axis(const VolumeGeometry& g) {
    std::array<std::size_t, 3> votes{};
    for (std::size_t angle = 0; angle < g.angles; ++angle) {
        const Pose pose(g, angle);
        auto axis = parallel_axis(g, pose, true);
        if (!axis) axis = parallel_axis(g, pose, false);
        if (axis) ++votes[static_cast<std::size_t>(*axis)];
    }
    return static_cast<int>(std::max_element(votes.begin(), votes.end()) - votes.begin());
}

// Lines are consecutive.
void add_segments(const VolumeGeometry& g, std::size_t angle, const std::vector<Line>& lines,
                  std::vector<Segment>& segments) {
    for (std::size_t begin = 0, end; begin < lines.size(); begin = end) {
        end = begin + 1;
        while (end < lines.size() && lines[end].fixed == lines[end - 1].fixed + 1) ++end;
        const std::size_t first = lines[begin].fixed, last = lines[end - 1].fixed + 1;
        const bool columns = lines[begin].rows;
        const std::size_t top = columns ? 0 : first, bottom = columns ? g.rows : last;
        for (std::size_t row = top; row < bottom; ++row) {
            segments.push_back({angle, row, columns ? first : 0, columns ? last : g.columns});
        }
    }
}

}  // namespace

VolumePlan::VolumePlan(const VolumeGeometry& g, unsigned threads)
    : line_axis_(most_parallel_axis(g)) {
    std::vector<AnglePlan> plans(g.angles);
    parallel_for(g.angles, g.rays() < kSmall ? 1 : threads, [&](unsigned, std::size_t angle) {
        plans[angle] = Planner(g, line_axis_, angle).plan();
    });
    for (std::size_t angle = 0; angle < g.angles; ++angle) {
        for (int i = 0; i < 2; ++i) {
            const auto& found = plans[angle].combs[i];
            combs_[i].insert(combs_[i].end(), found.begin(), found.end());
        }
        add_segments(g, angle, plans[angle].loose, segments_);
    }
}

RayTable::RayTable(std::size_t capacity)
    : numbers_{Buffer<double>(capacity), Buffer<double>(capacity), Buffer<double>(capacity),
               Buffer<double>(capacity), Buffer<double>(capacity)},
      pixel_(capacity),
      start_{} {}

void RayTable::fill(const VolumeGeometry& g, const Segment* segments, std::size_t count,
                    unsigned threads) {
    std::vector<std::array<std::size_t, 3>> place(count);
    parallel_for(count, threads, [&](unsigned, std::size_t i) {
        const Segment& s = segments[i];
        const Pose pose(g, s.angle);
        for (std::size_t c = s.begin; c < s.end; ++c) {
            ++place[i][static_cast<std::size_t>(pose.main_axis(s.row, c))];
        }
    });
    std::size_t next = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        start_[axis] = next;
        for (auto& segment : place) {
            const std::size_t size = segment[axis];
            segment[axis] = next;
            next += size;
        }
    }
    start_[3] = next;
    parallel_for(count, threads, [&](unsigned, std::size_t i) {
        const Segment& s = segments[i];
        const Pose pose(g, s.angle);
        for (std::size_t c = s.begin; c < s.end; ++c) {
            const RayTrack t = pose.track(s.row, c);
            // RayGeometry3D refuses what is not finite; the kernels, which compute addresses from
            // these numbers, never see it either: such a ray misses the volume.
            const bool sound = t.sound();
            const std::size_t slot = place[i][static_cast<std::size_t>(t.axis)]++;
            for (int k = 0; k < 2; ++k) {
                numbers_[k].data()[slot] = sound ? t.intercept[k] : kMiss;
                numbers_[2 + k].data()[slot] = sound ? t.slope[k] : 0.0;
            }
            numbers_[4].data()[slot] = sound ? t.weight : 0.0;
            pixel_.data()[slot] = (s.angle * g.rows + s.row) * g.columns + c;
        }
    });
}

RayList RayTable::rays(int axis, std::size_t begin, std::size_t end) const {
    const std::size_t first = start_[axis] + begin;
    return {{numbers_[0].data() + first, numbers_[1].data() + first},
            {numbers_[2].data() + first, numbers_[3].data() + first},
            numbers_[4].data() + first,
            pixel_.data() + first,
            static_cast<std::ptrdiff_t>(end - begin)};
}

}  // namespace joseph
