// The adjoint of coarse parallel rays: few views on many tiles at a time, because little is left to do
// for each. Part of ray2d/kernels.cpp.
#pragma once

#include "ray2d/gather_exact.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

constexpr ptrdiff_t kTilesTogether = 8;  // side by side

// What up to kMostAims coarse views are in the tiles of a part of a strip.
template <typename T>
struct CoarseAims : LineAims<T, true> {
    using D = Simd<double>;
    using Word = typename Simd<T>::Word;
    typedef int64_t Truth __attribute__((vector_size(kVectorBytes)));
    ptrdiff_t count;
    // Column 0 has its first near ray at `first`; it is one of the view between `low` and `high`.
    double first[kMostAims], along[kMostAims], low[kMostAims], high[kMostAims];
    Word below[kMostAims];  // from the first row of the strip to that of the part

    CoarseAims(const Track<T>* begin, ptrdiff_t number, double row, ptrdiff_t skip) : count(number) {
        this->tracks = begin;
        for (ptrdiff_t i = 0; i < count; ++i) {
            const Track<T>& track = begin[i];
            const auto& own = track.parallel;
            first[i] = track.origin + own.ahead + track.across * row;
            along[i] = track.along;
            low[i] = own.begin - own.behind;
            high[i] = own.end;
            below[i] = static_cast<Word>(own.row_step) * static_cast<Word>(skip);
        }
        for (ptrdiff_t i = count; i % D::kWidth != 0; ++i) {
            first[i] = along[i] = low[i] = high[i] = 0;
            below[i] = 0;
        }
    }

    // The views that meet the tile which begins at a column.
    Choice choose(double column) {
        typedef int32_t Window __attribute__((vector_size(D::kWidth * sizeof(int32_t))));
        typedef typename Simd<T>::Scalar Part __attribute__((vector_size(D::kWidth * sizeof(T))));
        typedef Word Words __attribute__((vector_size(D::kWidth * sizeof(T))));
        using Value = D::Value;
        int64_t meets[kMostAims];
        for (ptrdiff_t i = 0; i < count; i += D::kWidth) {
            const Value t =
                load<Value>(first + i) + load<Value>(along + i) * all<double>(column);
            const Truth inside = (t > load<Value>(low + i)) & (t < load<Value>(high + i));
            const Value whole = rounded_down(t);
            const Part part =
                __builtin_convertvector((t - whole) * Simd<T>::kUnit + 0.5, Part);
            store(this->window + i, __builtin_convertvector(whole, Window));
            store(this->position + i,
                     reinterpret_cast<Words>(part) + load<Words>(below + i));
            store(meets + i, inside);
        }
        Choice choice;
        for (ptrdiff_t i = 0; i < count; ++i) {
            choice.which[choice.count] = static_cast<uint8_t>(i);
            choice.count -= static_cast<int>(meets[i]);
        }
        return choice;
    }
};

// Coarse views of one kind on tiles side by side.
template <int kVectors, int kTaps, typename T, int kRows, int kImages>
void gather_coarse(const Track<T>* track, const Track<T>* end, Place place, ptrdiff_t tiles,
                   Tile<T, kRows, kImages>* to) {
    for (; track != end; track += least<ptrdiff_t>(end - track, kMostAims)) {
        CoarseAims<T> aims(track, least<ptrdiff_t>(end - track, kMostAims), place.row, place.skip);
        Place here = place;
        for (ptrdiff_t i = 0; i < tiles; ++i) {
            const LineAims<T, true>& lines = aims;
            gather_choice<kVectors, kTaps>(lines, aims.choose(here.column), here, to + i);
            here.column += Simd<T>::kWidth;
        }
    }
}

template <typename T, int kRows, int kImages>
void gather_all_coarse(const Track<T>* track, const Track<T>* end, const Place& place,
                       ptrdiff_t tiles, Tile<T, kRows, kImages>* to) {
    while (track != end) {
        const Track<T>* next = track + 1;
        while (next != end && next->kind == track->kind) ++next;
        switch (track->kind) {
            case kOne: gather_coarse<1, 1>(track, next, place, tiles, to); break;
            case kTwo: gather_coarse<1, 2>(track, next, place, tiles, to); break;
            case kOneOfMany: gather_coarse<2, 1>(track, next, place, tiles, to); break;
            default: gather_coarse<2, 2>(track, next, place, tiles, to);
        }
        track = next;
    }
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
