// Vectors of fixed positions: of many rays at once, and what rays weigh in columns near them. Part of
// ray2d/kernels.cpp.
#pragma once

#include "ray2d/fixed.hpp"
#include "ray2d/simd.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// `anchor` of a vector of rays.
template <typename T>
inline typename Simd<T>::Index anchors(typename Simd<T>::Index places,
                                       typename Simd<T>::Index slopes, ptrdiff_t rows) {
    using S = Simd<T>;
    using Index = typename S::Index;
    using Word = typename S::Word;
    if constexpr (sizeof(T) == 8) return places + slopes * static_cast<Word>(rows);
#if defined(__AVX512F__)
    constexpr int more = Bits<T>::kSlope - Bits<T>::kFraction;
    const __m512i few = reinterpret_cast<__m512i>(slopes);
    const __m512i many = _mm512_set1_epi64(rows), half = _mm512_set1_epi64((1 << more) >> 1);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(few, many), half);
    const __m512i odd =
        _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(few, 32), many), half);
    const __m512i both = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, more),
                                                 _mm512_slli_epi64(odd, 32 - more));
    return places + reinterpret_cast<Index>(both);
#elif defined(__AVX2__)
    constexpr int more = Bits<T>::kSlope - Bits<T>::kFraction;
    const __m256i few = reinterpret_cast<__m256i>(slopes);
    const __m256i many = _mm256_set1_epi64x(rows), half = _mm256_set1_epi64x((1 << more) >> 1);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(few, many), half);
    const __m256i odd =
        _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(few, 32), many), half);
    const __m256i both = _mm256_blend_epi32(_mm256_srli_epi64(even, more),
                                            _mm256_slli_epi64(odd, 32 - more), 0xaa);
    return places + reinterpret_cast<Index>(both);
#else
    Index result;
    for (int lane = 0; lane < S::kWidth; ++lane) {
        result[lane] = anchor<T>(places[lane], slopes[lane], rows);
    }
    return result;
#endif
}

// `step_of` of a vector of rays.
template <typename T>
inline typename Simd<T>::Index steps_of(typename Simd<T>::Index slopes) {
    using S = Simd<T>;
    typedef typename S::Scalar Signed __attribute__((vector_size(kVectorBytes)));
    constexpr int more = Bits<T>::kSlope - Bits<T>::kFraction;
    constexpr typename S::Scalar half = (typename S::Scalar{1} << more) >> 1;
    return reinterpret_cast<typename S::Index>((reinterpret_cast<Signed>(slopes) + half) >> more);
}

// A few words at once: Fixed<T>::of(x).word() of as many numbers as are in a vector of doubles.
template <typename T>
struct FixedWords {
    using S = Simd<T>;
    using D = Simd<double>;
    static constexpr int kWidth = D::kWidth;
    typedef int32_t Whole __attribute__((vector_size(kWidth * sizeof(int32_t))));
    typedef typename S::Scalar Part __attribute__((vector_size(kWidth * sizeof(T))));
    typedef typename S::Word Vector __attribute__((vector_size(kWidth * sizeof(T))));

    static Vector of(typename D::Value x) {
        const typename D::Value below = rounded_down(x);
        const Whole whole = __builtin_convertvector(below, Whole);
        const Part part = __builtin_convertvector((x - below) * S::kUnit + 0.5, Part);
        return (__builtin_convertvector(whole, Vector) << S::kFraction) +
               reinterpret_cast<Vector>(part);
    }

    // Of step n for a vector of n that begins with `first`.
    static typename S::Index multiples(double step, ptrdiff_t first) {
        Vector words[S::kWidth / kWidth];
        for (int i = 0; i < S::kWidth / kWidth; ++i) {
            const auto n = lanes<double>() + static_cast<double>(first + i * kWidth);
            words[i] = of(all<double>(step) * n);
        }
#if defined(__AVX512F__)
        if constexpr (sizeof(T) == 4) {  // not through memory, which would wait for both halves
            const __m512i low = _mm512_castsi256_si512(reinterpret_cast<__m256i>(words[0]));
            return reinterpret_cast<typename S::Index>(
                _mm512_inserti64x4(low, reinterpret_cast<__m256i>(words[1]), 1));
        }
#endif
        return load<typename S::Index>(words);
    }
};

template <typename T>
void fix(double start, double step, ptrdiff_t count, typename Bits<T>::Unsigned* words) {
    using D = Simd<double>;
    for (ptrdiff_t n = 0; n < count; n += D::kWidth) {
        const auto steps = lanes<double>() + static_cast<double>(n);
        const auto at = all<double>(start) + all<double>(step) * steps;
        store(words + n, FixedWords<T>::of(at));
    }
}

// What a ray weighs in a column at the distance `away`, in units of 1 / kWhole; exactly what it
// weighs there in the forward transform.
template <typename T>
struct Tent {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    typedef typename S::Scalar Signed __attribute__((vector_size(kVectorBytes)));
#if defined(__AVX512F__)
    static constexpr bool kConverts = true;
#else
    static constexpr bool kConverts = sizeof(T) == 4;
#endif
    static constexpr T kWhole = kConverts ? static_cast<T>(S::kUnit) : T(1);

    static Value at(Index away) {
        if constexpr (kConverts) {
            const Value whole = all<T>(kWhole);
            return whole - S::least_size(__builtin_convertvector(reinterpret_cast<Signed>(away),
                                                                 Value), whole);
        }
        const Signed offset = reinterpret_cast<Signed>(away);
        const Signed size = offset < 0 ? -offset : offset;
        const Value weight = 2 - S::one_plus_fraction(reinterpret_cast<Index>(size));
        return size < (typename S::Scalar{1} << S::kFraction) ? weight : Value{};
    }
};

// Positions of the rays of a window: in some row, and by how much they move from row to row. Some
// windows are only a place in memory, which must live as long as the ramp.
template <typename T, int kVectors>
struct RampMemory {
    static constexpr int kSize = Window<T, kVectors>::kSize;
    typename Simd<T>::Word places[kSize], steps[kSize];
};

template <typename T, int kVectors, bool kMoves>
struct Ramp {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    using Word = typename S::Word;
    using W = Window<T, kVectors>;
    W place, step;

    explicit Ramp(const RampMemory<T, kVectors>& memory)
        : place(window_at(memory.places)), step(window_at(memory.steps)) {}

    // Bits are moved as if they were numbers.
    static W window_at(const Word* words) { return W::at(reinterpret_cast<const T*>(words)); }
    static Index bits(Value value) { return reinterpret_cast<Index>(value); }

    // In the row that is the r-th.
    Index pick(Index index, int r) const {
        const Index here = bits(place.pick(index));
        if constexpr (W::kInRegisters) return here;
        return here + bits(step.pick(index)) * static_cast<Word>(r);
    }
    void next_row() {
        if constexpr (W::kInRegisters) place.add_bits(step);
    }
};

// Of rays that stay where they are.
template <typename T, int kVectors>
struct Ramp<T, kVectors, false> {
    using Moving = Ramp<T, kVectors, true>;
    using Index = typename Simd<T>::Index;
    Window<T, kVectors> place;

    explicit Ramp(const typename Simd<T>::Word* places) : place(Moving::window_at(places)) {}
    Index pick(Index index, int) const { return Moving::bits(place.pick(index)); }
};

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
