// Copies between volumes and data as PyTorch stores them and the lines that the kernels read.
#pragma once

#include <algorithm>
#include <cstddef>

#include "memory.hpp"
#include "ray3d/plan.hpp"

namespace joseph {

inline constexpr std::ptrdiff_t kTile3 = 16;

inline std::ptrdiff_t round_up(std::ptrdiff_t n, std::ptrdiff_t unit) {
    return (n + unit - 1) / unit * unit;
}

// An odd number of cache lines: what is that far apart spreads over the sets of a cache.
template <typename T>
std::ptrdiff_t odd_lines(std::ptrdiff_t size) {
    constexpr std::ptrdiff_t kLine = 64 / static_cast<std::ptrdiff_t>(sizeof(T));
    return (((size + kLine - 1) / kLine) | 1) * kLine;
}

// The axes of a volume in the order of a copy: the plan's line axis last.
template <typename T>
struct LineLayout {
    std::ptrdiff_t sizes[3], outside[3], inside[3];

    LineLayout(const VolumeGeometry& g, const VolumePlan& plan) {
        const int axes[3] = {plan.other_axis(0), plan.other_axis(1), plan.line_axis()};
        for (int i = 0; i < 3; ++i) {
            sizes[i] = g.shape[axes[i]];
            outside[i] = g.stride(axes[i]);
        }
        inside[2] = 1;
        inside[1] = odd_lines<T>(round_up(sizes[2], kRound));
        inside[0] = odd_lines<T>(sizes[1] * inside[1]);
    }
    std::size_t size() const { return static_cast<std::size_t>(sizes[0] * inside[0]); }
};

// A copy of a volume whose lines are contiguous.
template <typename T>
class LineVolume {
public:
    LineVolume(const VolumeGeometry& g, const VolumePlan& plan)
        : layout_(g, plan), buffer_(layout_.size()) {}

    std::size_t rows() const { return static_cast<std::size_t>(layout_.sizes[0]); }
    std::ptrdiff_t line_size() const { return layout_.inside[1]; }

    // Slices across axis i; `blank` has line_size().
    Brick<T> brick(int i, T* blank) {
        const LineLayout<T>& l = layout_;
        return {buffer_.data(), blank, l.sizes[i], l.sizes[1 - i], l.sizes[2], l.inside[i],
                l.inside[1 - i]};
    }
    void clear(std::size_t row) { std::fill_n(row_of(row), layout_.inside[0], T(0)); }
    void read(const T* volume, std::size_t row) {
        clear(row);
        each_tile(row, [=](T* inside, std::ptrdiff_t outside) { *inside = volume[outside]; });
    }
    void write(T* volume, std::size_t row) {
        each_tile(row, [=](const T* inside, std::ptrdiff_t outside) { volume[outside] = *inside; });
    }

private:
    T* row_of(std::size_t row) {
        return buffer_.data() + static_cast<std::ptrdiff_t>(row) * layout_.inside[0];
    }

    template <typename Move>
    void each_tile(std::size_t row, const Move& move) {
        const LineLayout<T>& l = layout_;
        const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(row) * l.outside[0];
        for (std::ptrdiff_t line = 0; line < l.sizes[1]; line += kTile3) {
            for (std::ptrdiff_t z = 0; z < l.sizes[2]; z += kTile3) {
                const std::ptrdiff_t end = std::min(z + kTile3, l.sizes[2]);
                const std::ptrdiff_t last = std::min(line + kTile3, l.sizes[1]);
                for (std::ptrdiff_t k = z; k < end; ++k) {
                    for (std::ptrdiff_t j = line; j < last; ++j) {
                        move(row_of(row) + j * l.inside[1] + k,
                             first + j * l.outside[1] + k * l.outside[2]);
                    }
                }
            }
        }
    }

    LineLayout<T> layout_;
    Buffer<T> buffer_;
};

// Calls move(column, data) for ray n of comb c, at columns[c * stride + n] and in the data, in an
// order in which neighbouring combs share cache lines.
template <typename T, typename U, typename Move>
void each_ray(const Comb* combs, std::ptrdiff_t count, T* columns, std::ptrdiff_t stride, U* data,
              const Move& move) {
    for (std::ptrdiff_t begin = 0; begin < count; begin += kTile3) {
        const std::ptrdiff_t end = std::min(begin + kTile3, count);
        std::ptrdiff_t rays = 0;
        for (std::ptrdiff_t c = begin; c < end; ++c) {
            rays = std::max<std::ptrdiff_t>(rays, combs[c].count);
        }
        for (std::ptrdiff_t n = 0; n < rays; ++n) {
            for (std::ptrdiff_t c = begin; c < end; ++c) {
                if (n >= combs[c].count) continue;
                const auto pixel = static_cast<std::ptrdiff_t>(combs[c].pixel);
                move(columns[c * stride + n], data[pixel + n * combs[c].stride]);
            }
        }
    }
}

}  // namespace joseph
