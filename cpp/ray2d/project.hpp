// The forward transform of one view. Part of ray2d/kernels.cpp.
#pragma once

#include "ray2d/fixed.hpp"
#include "ray2d/kernels.hpp"
#include "ray2d/ramp.hpp"
#include "ray2d/simd.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kBlock = 32;    // rows whose positions are prepared together
constexpr double kReach = 29.0;     // columns between the first and the last ray of a group
constexpr double kMargin = 0x1p-8;  // columns: more than positions are rounded by

// Up to kWidth neighbouring rays, and where they are in a block of rows.
template <typename T, bool kFan>
struct Group {
    using S = Simd<T>;
    using Index = typename S::Index;
    using Scalar = typename S::Scalar;
    using Word = typename S::Word;
    static constexpr int kWidth = S::kWidth;

    ptrdiff_t lanes, first_ray;
    double intercept[kWidth], slope[kWidth];
    static constexpr ptrdiff_t kLength = kFan ? kStretch : kBlock;  // of rows with the same `lane`
    Word lane[kBlock / kLength][kWidth], lane_step[kWidth];
    int32_t base, start[kBlock];  // the first column that is read in a row is base + start
    Word shift[kBlock];     // what makes positions of lanes relative to it

    void aim(const View& view, const Rays<T>& rays, ptrdiff_t ray, ptrdiff_t rows);
    bool enter(ptrdiff_t row, ptrdiff_t rows, ptrdiff_t columns);

private:
    ptrdiff_t last_;            // lane that is a ray of the view
    double step_, offset_ = 0;  // from ray 0 to the least position
    Rays<T> rays_;

    double at(ptrdiff_t j, double row) const { return intercept[j] + slope[j] * row; }
    void follow_parallel(double row, ptrdiff_t rows);
    void follow_fan(double lowest, ptrdiff_t row, ptrdiff_t rows);
};

// Chooses as many lanes as fit into one window.
template <typename T, bool kFan>
void Group<T, kFan>::aim(const View& view, const Rays<T>& rays, ptrdiff_t ray, ptrdiff_t rows) {
    constexpr double reach = least<double>(kReach, Window<T, 2>::kSize - 3);
    first_ray = ray;
    lanes = kWidth;
    if constexpr (kFan) {
        for (ptrdiff_t j = 0; j < kWidth; ++j) {
            const ptrdiff_t d = least(ray + j, view.end - 1);
            intercept[j] = view.intercepts[d];
            slope[j] = view.slopes[d];
        }
        const double last = static_cast<double>(rows - 1);
        const auto span = [&](double row) {
            return __builtin_fabs(at(lanes - 1, row) - at(0, row));
        };
        while (lanes > 1 && most(span(0), span(last)) >= reach) lanes /= 2;
        last_ = least(lanes, view.end - ray) - 1;
        rays_ = rays;
    } else {
        step_ = view.step;
        while (lanes > 1 && static_cast<double>(lanes - 1) * __builtin_fabs(step_) >= reach) {
            lanes /= 2;
        }
        intercept[0] = view.intercept;
        slope[0] = view.slope;
        offset_ = step_ * static_cast<double>(step_ < 0 ? ray + lanes - 1 : ray);
        base = Fixed<T>::of(offset_).whole;
        store(lane[0], FixedWords<T>::multiples(step_, ray) - Fixed<T>::columns(base));
    }
}

// False if no ray of the group meets these rows.
template <typename T, bool kFan>
bool Group<T, kFan>::enter(ptrdiff_t row, ptrdiff_t rows, ptrdiff_t columns) {
    const double top = static_cast<double>(row), bottom = static_cast<double>(row + rows - 1);
    const double a = at(0, top) + offset_, b = at(0, bottom) + offset_;
    double lowest = least(a, b), highest = most(a, b);
    if constexpr (kFan) {
        const double c = at(lanes - 1, top), d = at(lanes - 1, bottom);
        lowest = least(lowest, least(c, d));
        highest = most(highest, most(c, d));
    } else {
        highest += static_cast<double>(lanes - 1) * __builtin_fabs(step_);
    }
    if (!(highest > -1.0 - kMargin && lowest < static_cast<double>(columns) + kMargin)) return false;
    if constexpr (kFan) {
        follow_fan(lowest, row, rows);
    } else {
        follow_parallel(top, rows);
    }
    return true;
}

template <typename T, bool kFan>
void Group<T, kFan>::follow_parallel(double row, ptrdiff_t rows) {
    const double origin = intercept[0], tilt = slope[0];
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const auto fixed = Fixed<T>::of(origin + tilt * (row + static_cast<double>(r)));
        start[r] = fixed.whole;
        shift[r] = fixed.part;
    }
}

template <typename T, bool kFan>
void Group<T, kFan>::follow_fan(double lowest, ptrdiff_t row, ptrdiff_t rows) {
    base = round_down(lowest);
    const Index slopes = load<Index>(rays_.slope + first_ray);
    const Index places = load<Index>(rays_.place + first_ray);
    const Index steps = steps_of<T>(slopes);
    const Index to_first = steps * static_cast<Word>(kStretch / 2) + Fixed<T>::columns(base);
    store(lane_step, steps);
    const Word first_step = lane_step[0], last_step = lane_step[last_];
    for (ptrdiff_t from = 0; from < rows; from += kStretch) {
        const ptrdiff_t middle = middle_of_stretch(row + from), to = least(rows, from + kStretch);
        Word* lanes_here = lane[from / kStretch];
        store(lanes_here, anchors<T>(places, slopes, middle - rays_.middle) - to_first);
        const Word first = lanes_here[0], last = lanes_here[last_];
        for (ptrdiff_t r = from; r < to; ++r) {
            const Word a = first + static_cast<Word>(r - from) * first_step;
            const Word b = last + static_cast<Word>(r - from) * last_step;
            const Scalar left = static_cast<Scalar>(a), right = static_cast<Scalar>(b);
            const Scalar lower = left < right ? left : right;
            const Scalar whole = lower >> S::kFraction;
            start[r] = static_cast<int32_t>(whole);
            shift[r] = Word{0} - (static_cast<Word>(whole) << S::kFraction);
        }
    }
}

// Sums of a group over rows, two of each so that additions overlap.
template <typename T, int kImages>
struct Sums {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    Value left[2][kImages] = {}, right[2][kImages] = {};

    template <int kParity>
    inline void add(const T* row, ptrdiff_t image_stride, Index position) {
        const Index here = S::whole(position), next = here + 1;
        const Value raised = S::one_plus_fraction(position);
        const Value to_right = raised - 1, to_left = 2 - raised;
#pragma GCC unroll 4
        for (int image = 0; image < kImages; ++image) {
            const auto window = Window<T, 2>::at(row + image * image_stride);
            left[kParity][image] =
                fused(to_left, window.pick(here), left[kParity][image]);
            right[kParity][image] =
                fused(to_right, window.pick(next), right[kParity][image]);
        }
    }

    Value total(int image) const {
        return (left[0][image] + right[0][image]) + (left[1][image] + right[1][image]);
    }
};

template <typename T, bool kFan, int kImages>
inline void walk(const Group<T, kFan>& group, const T* pixels, Sheets size, ptrdiff_t rows,
                 Sums<T, kImages>& sums) {
    using S = Simd<T>;
    using Index = typename S::Index;
    const Index step = kFan ? load<Index>(group.lane_step) : Index{};
    constexpr ptrdiff_t length = Group<T, kFan>::kLength;
    pixels += group.base;
    for (ptrdiff_t r = 0, stretch = 0; r < rows; ++stretch) {
        Index lane = load<Index>(group.lane[stretch]);
        const auto position = [&](ptrdiff_t row) {
            const Index result = lane + group.shift[row];
            if constexpr (kFan) lane += step;
            return result;
        };
        const ptrdiff_t stop = least(rows, r + length);
        for (; r + 1 < stop; r += 2) {
            sums.template add<0>(pixels + group.start[r], size.image_stride, position(r));
            sums.template add<1>(pixels + size.stride + group.start[r + 1], size.image_stride,
                                 position(r + 1));
            pixels += 2 * size.stride;
        }
        if (r < stop) {
            sums.template add<0>(pixels + group.start[r], size.image_stride, position(r));
            ++r;
        }
    }
}

// Length per row of the rays of a group, in mm.
template <typename T, bool kFan>
void weigh(const View& view, const Group<T, kFan>& group, T* weights) {
    for (ptrdiff_t j = 0; j < Simd<T>::kWidth; ++j) {
        double weight = view.weight;
        if constexpr (kFan) {
            const double rise = group.slope[j] * view.rise;
            weight = __builtin_sqrt(view.run * view.run + rise * rise);
        }
        weights[j] = static_cast<T>(weight);
    }
}

template <typename T, bool kFan, int kImages>
void project_regular(const T* pixels, Sheets size, const View& view, const Rays<T>& rays, Span rows,
                     Integrals<T> out) {
    using S = Simd<T>;
    using Value = typename S::Value;
    Group<T, kFan> group;
    T weights[S::kWidth];
    T lines[kImages][S::kWidth] = {};
    for (ptrdiff_t ray = view.begin; ray < view.end; ray += group.lanes) {
        group.aim(view, rays, ray, size.rows);
        weigh(view, group, weights);
        const Value weight = load<Value>(weights);
        // What other rows gave comes first, so that the order does not depend on the batch.
        const ptrdiff_t valid = least(group.lanes, view.end - ray);
        Value total[kImages] = {};
        if (out.add) {
            for (int image = 0; image < kImages; ++image) {
                const T* from = out.first + image * out.image_stride + ray;
                if (view.end - ray < S::kWidth) {
                    for (ptrdiff_t j = 0; j < valid; ++j) lines[image][j] = from[j];
                    from = lines[image];
                }
                total[image] = load<Value>(from);
            }
        }
        for (ptrdiff_t first = rows.first; first < rows.last; first += rows.block) {
            const ptrdiff_t last = least(first + rows.block, rows.last);
            Sums<T, kImages> sums;
            for (ptrdiff_t row = first; row < last; row += kBlock) {
                const ptrdiff_t count = least(kBlock, last - row);
                if (!group.enter(row, count, size.columns)) continue;
                walk<T, kFan, kImages>(group, pixels + row * size.stride, size, count, sums);
            }
#pragma GCC unroll 4
            for (int image = 0; image < kImages; ++image) {
                total[image] = total[image] + sums.total(image) * weight;
            }
        }
#pragma GCC unroll 4
        for (int image = 0; image < kImages; ++image) store(lines[image], total[image]);
        for (int image = 0; image < kImages; ++image) {
            T* to = out.first + image * out.image_stride + ray;
            if (valid == S::kWidth) {
                store(to, total[image]);
                continue;
            }
            for (ptrdiff_t j = 0; j < valid; ++j) to[j] = lines[image][j];
        }
    }
}

// Any geometry, ray by ray.
template <typename T>
void project_ray_by_ray(const T* pixels, Sheets size, const View& view, const Rays<T>& rays,
                        Span rows, T* out, bool add) {
    for (ptrdiff_t d = view.begin; d < view.end; ++d) {
        const double rise = view.fan ? view.slopes[d] * view.rise : view.slope * view.rise;
        const T weight = static_cast<T>(__builtin_sqrt(view.run * view.run + rise * rise));
        T total = add ? out[d] : T(0), sum = 0;
        for (ptrdiff_t row = rows.first; row < rows.last; ++row) {
            Crossing<T> at;
            if (Crossing<T>::find(view, rays, d, row, size.columns, &at)) {
                const T* tap = pixels + row * size.stride + at.left;
                sum += (1 - at.fraction) * tap[0] + at.fraction * tap[1];
            }
            if ((row + 1 - rows.first) % rows.block == 0 || row + 1 == rows.last) {
                total += sum == 0 ? T(0) : sum * weight;
                sum = 0;
            }
        }
        out[d] = total;
    }
}

template <typename T, int kImages>
void project_images(const T* pixels, Sheets size, const View& view, const Rays<T>& rays, Span rows,
                    Integrals<T> out) {
    if (!view.regular) {
        for (int image = 0; image < kImages; ++image) {
            project_ray_by_ray(pixels + image * size.image_stride, size, view, rays, rows,
                               out.first + image * out.image_stride, out.add);
        }
    } else if (view.fan) {
        project_regular<T, true, kImages>(pixels, size, view, rays, rows, out);
    } else {
        project_regular<T, false, kImages>(pixels, size, view, rays, rows, out);
    }
}

template <typename T>
void project(const T* pixels, Sheets size, int images, const View& view, const Rays<T>& rays,
             Span rows, Integrals<T> out) {
    switch (images) {
        case 4: return project_images<T, 4>(pixels, size, view, rays, rows, out);
        case 2: return project_images<T, 2>(pixels, size, view, rays, rows, out);
        default: return project_images<T, 1>(pixels, size, view, rays, rows, out);
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
