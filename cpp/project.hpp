// The forward transform of one view. Part of kernels.cpp.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kBlock = 32;    // rows whose positions are prepared together
constexpr double kReach = 30.0;     // columns between the first and the last ray of a group

constexpr double least(double a, double b) { return a < b ? a : b; }
constexpr double most(double a, double b) { return a > b ? a : b; }
constexpr ptrdiff_t lesser(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

// For |x| < 2^30.
inline int32_t round_down(double x) {
    const int32_t near = static_cast<int32_t>(x + (1 << 30)) - (1 << 30);
    return near - (static_cast<double>(near) > x ? 1 : 0);
}

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
    Word lane[kWidth], lane_step[kWidth];
    int32_t start[kBlock];  // the first column that is read in a row
    Word shift[kBlock];     // what makes positions of lanes relative to it

    void aim(const View& view, ptrdiff_t ray, ptrdiff_t rows);
    bool enter(ptrdiff_t row, ptrdiff_t rows, ptrdiff_t columns);

private:
    double step_ = 0;
    double at(ptrdiff_t j, double row) const { return intercept[j] + slope[j] * row; }
    void follow_parallel(double lowest, ptrdiff_t rows);
    void follow_fan(double lowest, ptrdiff_t row, ptrdiff_t rows);
};

// Chooses as many lanes as fit into one window.
template <typename T, bool kFan>
void Group<T, kFan>::aim(const View& view, ptrdiff_t ray, ptrdiff_t rows) {
    constexpr double reach = least(kReach, Window<T, 2>::kSize - 2);
    first_ray = ray;
    lanes = kWidth;
    if constexpr (kFan) {
        for (ptrdiff_t j = 0; j < kWidth; ++j) {
            const ptrdiff_t d = lesser(ray + j, view.end - 1);
            intercept[j] = view.intercepts[d];
            slope[j] = view.slopes[d];
        }
        const double last = static_cast<double>(rows - 1);
        const auto span = [&](double row) {
            return __builtin_fabs(at(lanes - 1, row) - at(0, row));
        };
        while (lanes > 1 && most(span(0), span(last)) >= reach) lanes /= 2;
    } else {
        step_ = view.step;
        while (lanes > 1 && static_cast<double>(lanes - 1) * __builtin_fabs(step_) >= reach) {
            lanes /= 2;
        }
        const double from = step_ < 0 ? static_cast<double>(lanes - 1) : 0.0;
        intercept[0] = view.intercept + step_ * (static_cast<double>(ray) + from);
        slope[0] = view.slope;
        for (ptrdiff_t j = 0; j < kWidth; ++j) {
            const double offset = j < lanes ? step_ * (static_cast<double>(j) - from) : 0.0;
            lane[j] = static_cast<Word>(static_cast<Scalar>(offset * S::kUnit + 0.5));
        }
    }
}

// False if no ray of the group meets these rows.
template <typename T, bool kFan>
bool Group<T, kFan>::enter(ptrdiff_t row, ptrdiff_t rows, ptrdiff_t columns) {
    const double top = static_cast<double>(row), bottom = static_cast<double>(row + rows - 1);
    const double a = at(0, top), b = at(0, bottom);
    double lowest = least(a, b), highest = most(a, b);
    if constexpr (kFan) {
        const double c = at(lanes - 1, top), d = at(lanes - 1, bottom);
        lowest = least(lowest, least(c, d));
        highest = most(highest, most(c, d));
    } else {
        highest += static_cast<double>(lanes - 1) * __builtin_fabs(step_);
    }
    if (!(highest > -1.0 && lowest < static_cast<double>(columns))) return false;
    if constexpr (kFan) {
        follow_fan(lowest, row, rows);
    } else {
        follow_parallel(a, rows);
    }
    return true;
}

template <typename T, bool kFan>
void Group<T, kFan>::follow_parallel(double begin, ptrdiff_t rows) {
    const double tilt = slope[0];
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const double x = begin + tilt * static_cast<double>(r);
        const int32_t whole = round_down(x);
        start[r] = whole;
        shift[r] = static_cast<Word>(
            static_cast<Scalar>((x - static_cast<double>(whole)) * S::kUnit + 0.5));
    }
}

template <typename T, bool kFan>
void Group<T, kFan>::follow_fan(double lowest, ptrdiff_t row, ptrdiff_t rows) {
    const int32_t base = round_down(lowest);
    const ptrdiff_t middle = rows / 2;  // where positions are exact: rounded steps lead away from it
    for (ptrdiff_t j = 0; j < kWidth; ++j) {
        const ptrdiff_t i = lesser(j, lanes - 1);
        const double x = at(i, static_cast<double>(row + middle)) - static_cast<double>(base);
        const double step = slope[i] * S::kUnit;
        lane_step[j] = static_cast<Word>(static_cast<Scalar>(step + (step < 0 ? -0.5 : 0.5)));
        lane[j] = static_cast<Word>(static_cast<Scalar>(x * S::kUnit + 0.5)) -
                  static_cast<Word>(middle) * lane_step[j];
    }
    const Word first = lane[0], first_step = lane_step[0];
    const Word last = lane[lanes - 1], last_step = lane_step[lanes - 1];
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const Word a = first + static_cast<Word>(r) * first_step;
        const Word b = last + static_cast<Word>(r) * last_step;
        const Scalar left = static_cast<Scalar>(a), right = static_cast<Scalar>(b);
        const Scalar lower = left < right ? left : right;
        const Scalar whole = lower >> S::kFraction;
        start[r] = base + static_cast<int32_t>(whole);
        shift[r] = Word{0} - (static_cast<Word>(whole) << S::kFraction);
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
                S::fused(to_left, window.pick(here), left[kParity][image]);
            right[kParity][image] =
                S::fused(to_right, window.pick(next), right[kParity][image]);
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
    Index lane = S::template load<Index>(group.lane);
    const Index step = kFan ? S::template load<Index>(group.lane_step) : Index{};
    const auto position = [&](ptrdiff_t r) {
        const Index result = lane + group.shift[r];
        if constexpr (kFan) lane += step;
        return result;
    };
    ptrdiff_t r = 0;
    for (; r + 1 < rows; r += 2) {
        sums.template add<0>(pixels + group.start[r], size.image_stride, position(r));
        sums.template add<1>(pixels + size.stride + group.start[r + 1], size.image_stride,
                             position(r + 1));
        pixels += 2 * size.stride;
    }
    if (r < rows) sums.template add<0>(pixels + group.start[r], size.image_stride, position(r));
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
void project_regular(const T* pixels, Sheets size, const View& view, Span rows, Integrals<T> out) {
    using S = Simd<T>;
    using Value = typename S::Value;
    Group<T, kFan> group;
    T weights[S::kWidth];
    T lines[kImages][S::kWidth];
    for (ptrdiff_t ray = view.begin; ray < view.end; ray += group.lanes) {
        group.aim(view, ray, size.rows);
        weigh(view, group, weights);
        const Value weight = S::template load<Value>(weights);
        Value total[kImages] = {};
        for (ptrdiff_t first = rows.first; first < rows.last; first += rows.block) {
            const ptrdiff_t last = lesser(first + rows.block, rows.last);
            Sums<T, kImages> sums;
            for (ptrdiff_t row = first; row < last; row += kBlock) {
                const ptrdiff_t count = lesser(kBlock, last - row);
                if (!group.enter(row, count, size.columns)) continue;
                walk<T, kFan, kImages>(group, pixels + row * size.stride, size, count, sums);
            }
#pragma GCC unroll 4
            for (int image = 0; image < kImages; ++image) {
                total[image] = total[image] + sums.total(image) * weight;
            }
        }
#pragma GCC unroll 4
        for (int image = 0; image < kImages; ++image) S::store(lines[image], total[image]);
        const ptrdiff_t valid = lesser(group.lanes, view.end - ray);
        for (int image = 0; image < kImages; ++image) {
            T* to = out.first + image * out.image_stride + ray;
            for (ptrdiff_t j = 0; j < valid; ++j) {
                to[j] = out.add ? to[j] + lines[image][j] : lines[image][j];
            }
        }
    }
}

// Any geometry, ray by ray.
template <typename T>
void project_ray_by_ray(const T* pixels, Sheets size, const View& view, Span rows, T* out,
                        bool add) {
    const double right = static_cast<double>(size.columns);
    for (ptrdiff_t d = view.begin; d < view.end; ++d) {
        const double intercept =
            view.fan ? view.intercepts[d] : view.intercept + view.step * static_cast<double>(d);
        const double slope = view.fan ? view.slopes[d] : view.slope;
        const double rise = slope * view.rise;
        const T weight = static_cast<T>(__builtin_sqrt(view.run * view.run + rise * rise));
        T total = 0, sum = 0;
        for (ptrdiff_t row = rows.first; row < rows.last; ++row) {
            const double x = intercept + slope * static_cast<double>(row);
            if (x > -1.0 && x < right) {
                const ptrdiff_t left = static_cast<ptrdiff_t>(x + 1.0) - 1;
                const T fraction = static_cast<T>(x - static_cast<double>(left));
                const T* tap = pixels + row * size.stride + left;
                sum += (1 - fraction) * tap[0] + fraction * tap[1];
            }
            if ((row + 1 - rows.first) % rows.block == 0 || row + 1 == rows.last) {
                total += sum == 0 ? T(0) : sum * weight;
                sum = 0;
            }
        }
        out[d] = add ? out[d] + total : total;
    }
}

template <typename T, int kImages>
void project_images(const T* pixels, Sheets size, const View& view, Span rows, Integrals<T> out) {
    if (!view.regular) {
        for (int image = 0; image < kImages; ++image) {
            project_ray_by_ray(pixels + image * size.image_stride, size, view, rows,
                               out.first + image * out.image_stride, out.add);
        }
    } else if (view.fan) {
        project_regular<T, true, kImages>(pixels, size, view, rows, out);
    } else {
        project_regular<T, false, kImages>(pixels, size, view, rows, out);
    }
}

template <typename T>
void project(const T* pixels, Sheets size, int images, const View& view, Span rows, Integrals<T> out) {
    switch (images) {
        case 4: return project_images<T, 4>(pixels, size, view, rows, out);
        case 2: return project_images<T, 2>(pixels, size, view, rows, out);
        default: return project_images<T, 1>(pixels, size, view, rows, out);
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
