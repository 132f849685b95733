// Compiled once per instruction set, with JOSEPH_ISA naming the namespace.
//
// A vector of pixels finds its neighbours in a window of the line of a view, where their positions
// are close enough for one, otherwise by look-ups in memory. Both directions compute positions and
// weights alike.
#include "pixels/kernels.hpp"

#include "pixels/row.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// A vector of pixels, monotone in position, whose neighbours are `kVectors` vectors of the line.
template <typename T, PixelKind kKind, int kVectors>
void gather_in_windows(const Along& at, const PixelTile& tile, const PixelView& view,
                       ptrdiff_t detectors, const T* line, T* __restrict totals) {
    constexpr auto kWidth = static_cast<int32_t>(Pack<T>::kWidth);
    // Of the first pixel from the start of its window.
    const int32_t first = at.falls<kKind>() ? kVectors * kWidth - 2 : 0;
    const auto end = static_cast<int32_t>(detectors);
    for (ptrdiff_t k = 0; k < tile.count; k += kGroup) {
        const Group<T, kKind, kGroup> group(at, tile, view, k);
        for (ptrdiff_t v = 0; v < kGroup; v += kWidth) {
            Value<T> position, weights, fraction;
            group.place(v, position, weights);
            Index<T> whole;
            split(position, whole, fraction);
            const int32_t offset = whole[0] - first, start = group.base + offset;
            if (start < -kVectors * kWidth || start > end) continue;
            whole -= offset;
            const WindowFrom<T, kVectors> window(line + start);
            const Value<T> below = window[whole];
            const Value<T> found = below + fraction * (window[whole + 1] - below);
            T* total = totals + k + v;
            store(total, load<Value<T>>(total) + weights * found);
        }
    }
}

// The places of a vector with both neighbours on the line or its margins.
template <typename T>
inline void bounded(Value<T> position, int32_t base, ptrdiff_t detectors, Index<T>& whole,
                    Value<T>& fraction) {
    const Index<T> low = Index<T>{} - 2, high = Index<T>{} + static_cast<int32_t>(detectors);
    const Value<T> far = all(static_cast<T>(kFarAway));
    split(least(most(position, -far), far), whole, fraction);
    whole += base;
    whole = whole < low ? low : whole;
    whole = whole > high ? high : whole;
}

template <typename T, PixelKind kKind>
void gather_at_large(const Along& at, const PixelTile& tile, const PixelView& view,
                     ptrdiff_t detectors, const T* line, T* __restrict totals) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    for (ptrdiff_t k = 0; k < tile.count; k += kFewer) {
        const Group<T, kKind, kFewer> group(at, tile, view, k);
        for (ptrdiff_t v = 0; v < kFewer; v += kWidth) {
            Value<T> position, weights, fraction;
            group.place(v, position, weights);
            Index<T> whole;
            bounded<T>(position, group.base, detectors, whole, fraction);
            const Value<T> below = joseph::JOSEPH_ISA::gather(line, whole);
            const Value<T> above = joseph::JOSEPH_ISA::gather(line, whole + 1);
            T* total = totals + k + v;
            store(total, load<Value<T>>(total) + weights * (below + fraction * (above - below)));
        }
    }
}

template <typename T>
void gather_one_by_one(const Along& at, const PixelTile& tile, const PixelView& view,
                       ptrdiff_t detectors, const T* line, T* __restrict totals) {
    const double end = static_cast<double>(detectors);
    for (ptrdiff_t k = 0; k < tile.count; ++k) {
        const PixelPlace place(at, tile, view, static_cast<double>(k), end);
        const T below = line[place.lower], above = line[place.lower + 1];
        const T found = below + static_cast<T>(place.fraction) * (above - below);
        totals[k] += static_cast<T>(place.weight) * found;
    }
}

// Adds to four lines in turn, so that neighbours that meet the same place do not wait.
template <typename T, PixelKind kKind, ptrdiff_t kCount>
void scatter_vectors(const Along& at, const PixelTile& tile, const PixelView& view,
                     ptrdiff_t detectors, T* line, const T* __restrict values) {
    constexpr ptrdiff_t kWidth = Pack<T>::kWidth;
    for (ptrdiff_t k = 0; k < tile.count; k += kCount) {
        const Group<T, kKind, kCount> group(at, tile, view, k);
        for (ptrdiff_t v = 0; v < kCount; v += kWidth) {
            Value<T> position, weights, fraction;
            group.place(v, position, weights);
            Index<T> whole;
            bounded<T>(position, group.base, detectors, whole, fraction);
            const Value<T> value = weights * load<Value<T>>(values + k + v);
            const Value<T> above = fraction * value, below = value - above;
            for (ptrdiff_t lane = 0; lane < kWidth; ++lane) {
                T* target = line + (lane & 3) * (detectors + 2 * kPixelMargin) + whole[lane];
                target[0] += below[lane];
                target[1] += above[lane];
            }
        }
    }
}

template <typename T>
void scatter_one_by_one(const Along& at, const PixelTile& tile, const PixelView& view,
                        ptrdiff_t detectors, T* line, const T* __restrict values) {
    const double end = static_cast<double>(detectors);
    for (ptrdiff_t k = 0; k < tile.count; ++k) {
        const PixelPlace place(at, tile, view, static_cast<double>(k), end);
        const T value = static_cast<T>(place.weight) * values[k];
        const T above = static_cast<T>(place.fraction) * value;
        line[place.lower] += value - above;
        line[place.lower + 1] += above;
    }
}

#if defined(__AVX2__)
constexpr bool kLookUps = true;
#else
constexpr bool kLookUps = false;
#endif

template <typename T, PixelKind kKind>
void gather_rows(const PixelTile& tile, const PixelView& view, ptrdiff_t detectors, const T* line,
                 T* totals) {
    for (ptrdiff_t row = 0; row < tile.rows; ++row) {
        const Along at(tile, view, row);
        const double slope = steepest<kKind>(at, tile, static_cast<double>(tile.stride));
        T* target = totals + row * tile.stride;
        if (!kLookUps || slope == INFINITY) {
            gather_one_by_one(at, tile, view, detectors, line, target);
        } else if (const int windows = windows_for<T>(slope); windows == 1) {
            gather_in_windows<T, kKind, 1>(at, tile, view, detectors, line, target);
        } else if (windows == 2) {
            gather_in_windows<T, kKind, 2>(at, tile, view, detectors, line, target);
        } else {
            gather_at_large<T, kKind>(at, tile, view, detectors, line, target);
        }
    }
}

template <typename T, PixelKind kKind>
void scatter_rows(const PixelTile& tile, const PixelView& view, ptrdiff_t detectors, T* line,
                  const T* values) {
    for (ptrdiff_t row = 0; row < tile.rows; ++row) {
        const Along at(tile, view, row);
        const double slope = steepest<kKind>(at, tile, static_cast<double>(tile.stride));
        const T* source = values + row * tile.stride;
        if (!kLookUps || slope == INFINITY) {
            scatter_one_by_one(at, tile, view, detectors, line, source);
        } else if (windows_for<T>(slope) > 0) {
            scatter_vectors<T, kKind, kGroup>(at, tile, view, detectors, line, source);
        } else {
            scatter_vectors<T, kKind, kFewer>(at, tile, view, detectors, line, source);
        }
    }
}

template <typename T>
void gather_tile(const PixelTile& tile, const PixelView& view, ptrdiff_t detectors, const T* line,
                 T* totals) {
    switch (tile.kind) {
        case PixelKind::kFlat:
            return gather_rows<T, PixelKind::kFlat>(tile, view, detectors, line, totals);
        case PixelKind::kArc:
            return gather_rows<T, PixelKind::kArc>(tile, view, detectors, line, totals);
        default: return gather_rows<T, PixelKind::kParallel>(tile, view, detectors, line, totals);
    }
}

template <typename T>
void scatter_tile(const PixelTile& tile, const PixelView& view, ptrdiff_t detectors, T* line,
                  const T* values) {
    switch (tile.kind) {
        case PixelKind::kFlat:
            return scatter_rows<T, PixelKind::kFlat>(tile, view, detectors, line, values);
        case PixelKind::kArc:
            return scatter_rows<T, PixelKind::kArc>(tile, view, detectors, line, values);
        default: return scatter_rows<T, PixelKind::kParallel>(tile, view, detectors, line, values);
    }
}

}  // namespace

template <typename T>
const PixelKernels<T>& pixel_kernels() {
    static const PixelKernels<T> table{gather_tile<T>, scatter_tile<T>};
    return table;
}

template const PixelKernels<float>& pixel_kernels();
template const PixelKernels<double>& pixel_kernels();

}  // namespace JOSEPH_ISA
}  // namespace joseph
