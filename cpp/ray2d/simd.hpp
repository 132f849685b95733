// Machine vectors of numbers and of fixed-point positions. Part of ray2d/kernels.cpp: everything is
// internal to the instruction set that it is compiled for.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ray2d/kernels.hpp"
#include "vector.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// A vector of T and one of as many positions. A position is a fixed-point number whose fraction has
// as many bits as the mantissa of T, so that both its parts are one or two instructions away.
template <typename T>
struct Simd {
    using Scalar = typename Bits<T>::Signed;
    using Word = typename Bits<T>::Unsigned;
    static constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(T));
    static constexpr int kFraction = Bits<T>::kFraction;
    static constexpr double kUnit = static_cast<double>(int64_t{1} << kFraction);
    using Value = typename Pack<T>::Value;
    using Index = typename Pack<T>::Words;

    static Index all_positions(Word value) { return Index{} + value; }

    static Index whole(Index position) { return position >> kFraction; }

    // 1 + fraction, in [1, 2).
    static Value one_plus_fraction(Index position) {
        constexpr Word mask = (Word{1} << kFraction) - 1;
#if defined(__AVX512F__)
        const __m512i bits = _mm512_ternarylogic_epi32(
            reinterpret_cast<__m512i>(position), reinterpret_cast<__m512i>(all_positions(mask)),
            reinterpret_cast<__m512i>(all_positions(Bits<T>::kOne)), 0xea);
        return reinterpret_cast<Value>(bits);
#else
        return reinterpret_cast<Value>((position & mask) | Bits<T>::kOne);
#endif
    }

    // The least of |a| and |b|.
    static Value least_size(Value a, Value b) {
#if defined(__AVX512F__)
        constexpr int size = 0x0a;
        if constexpr (sizeof(T) == 4) {
            return reinterpret_cast<Value>(_mm512_range_ps(reinterpret_cast<__m512>(a),
                                                           reinterpret_cast<__m512>(b), size));
        } else {
            return reinterpret_cast<Value>(_mm512_range_pd(reinterpret_cast<__m512d>(a),
                                                           reinterpret_cast<__m512d>(b), size));
        }
#else
        return least(magnitude<T>(a), magnitude<T>(b));
#endif
    }

    static Index lane_words() {
        Index result;
        for (int lane = 0; lane < kWidth; ++lane) result[lane] = static_cast<Word>(lane);
        return result;
    }

    // 1 / value, to 14 bits at least.
    static Value near_inverse(Value value) {
#if defined(__AVX512F__)
        if constexpr (sizeof(T) == 4) {
            return reinterpret_cast<Value>(_mm512_rcp14_ps(reinterpret_cast<__m512>(value)));
        }
#endif
        return 1 / value;
    }

    // Of whole numbers.
    static Index whole_number(Value value) {
        typedef Scalar Signed __attribute__((vector_size(kVectorBytes)));
        return reinterpret_cast<Index>(__builtin_convertvector(value, Signed));
    }

    static Index whole_below(Value value) {
#if defined(__AVX512F__)
        constexpr int down = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        if constexpr (sizeof(T) == 4) {
            return reinterpret_cast<Index>(
                _mm512_cvt_roundps_epi32(reinterpret_cast<__m512>(value), down));
        } else {
            return reinterpret_cast<Index>(
                _mm512_cvt_roundpd_epi64(reinterpret_cast<__m512d>(value), down));
        }
#else
        return whole_number(rounded_down(value));
#endif
    }

};

// 1, 2 or 4 vectors of consecutive numbers, from which each lane picks one.
template <typename T, int kVectors>
struct Window {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    static constexpr int kSize = kFrame;
    static constexpr bool kInRegisters = false;
    const T* numbers;

    static Window at(const T* from) { return {from}; }
    Value pick(Index index) const {
        typedef typename S::Scalar Signed __attribute__((vector_size(kVectorBytes)));
        const Signed lanes = reinterpret_cast<Signed>(index & (kSize - 1));
        Value result;
        for (int lane = 0; lane < S::kWidth; ++lane) {
            T number;  // copied: the bits may be those of a position
            __builtin_memcpy(&number, numbers + lanes[lane], sizeof number);
            result[lane] = number;
        }
        return result;
    }
};

#if defined(__AVX512F__)

template <typename T>
inline typename Simd<T>::Value pick_of_two(typename Simd<T>::Value low,
                                           typename Simd<T>::Index index,
                                           typename Simd<T>::Value high) {
    using Value = typename Simd<T>::Value;
    const __m512i lanes = reinterpret_cast<__m512i>(index);
    if constexpr (sizeof(T) == 4) {
        return reinterpret_cast<Value>(_mm512_permutex2var_ps(
            reinterpret_cast<__m512>(low), lanes, reinterpret_cast<__m512>(high)));
    } else {
        return reinterpret_cast<Value>(_mm512_permutex2var_pd(
            reinterpret_cast<__m512d>(low), lanes, reinterpret_cast<__m512d>(high)));
    }
}

template <typename T>
struct Window<T, 1> {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    static constexpr int kSize = S::kWidth;
    static constexpr bool kInRegisters = true;
    Value numbers;

    static Window at(const T* from) {
        Window result{load<Value>(from)};
        __asm__("" : "+v"(result.numbers));
        return result;
    }
    Value pick(Index index) const {
        const __m512i lanes = reinterpret_cast<__m512i>(index);
        if constexpr (sizeof(T) == 4) {
            return reinterpret_cast<Value>(
                _mm512_permutexvar_ps(lanes, reinterpret_cast<__m512>(numbers)));
        } else {
            return reinterpret_cast<Value>(
                _mm512_permutexvar_pd(lanes, reinterpret_cast<__m512d>(numbers)));
        }
    }
};

template <typename T>
struct Window<T, 2> {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    static constexpr int kSize = 2 * S::kWidth;
    static constexpr bool kInRegisters = true;
    Value low, high;

    static Window at(const T* from) {
        Window result{load<Value>(from), load<Value>(from + S::kWidth)};
        // Keeps both in registers, where the compiler would rather load them again for every pick.
        __asm__("" : "+v"(result.low), "+v"(result.high));
        return result;
    }
    Value pick(Index index) const { return pick_of_two<T>(low, index, high); }
    void add_bits(const Window& more) {
        low = reinterpret_cast<Value>(reinterpret_cast<Index>(low) +
                                      reinterpret_cast<Index>(more.low));
        high = reinterpret_cast<Value>(reinterpret_cast<Index>(high) +
                                       reinterpret_cast<Index>(more.high));
    }
};

template <typename T>
struct Window<T, 4> {
    using S = Simd<T>;
    using Value = typename S::Value;
    using Index = typename S::Index;
    static constexpr int kSize = 4 * S::kWidth;
    static constexpr bool kInRegisters = true;
    Window<T, 2> first, second;

    static Window at(const T* from) {
        return {Window<T, 2>::at(from), Window<T, 2>::at(from + 2 * S::kWidth)};
    }
    Value pick(Index index) const {
        const Value near = first.pick(index), far = second.pick(index);
        const auto behind = (index & (2 * S::kWidth)) != 0;
        return behind ? far : near;
    }
    void add_bits(const Window& more) {
        first.add_bits(more.first);
        second.add_bits(more.second);
    }
};

#elif defined(__AVX2__)

template <>
struct Window<float, 1> {
    using S = Simd<float>;
    using Value = S::Value;
    using Index = S::Index;
    static constexpr int kSize = S::kWidth;
    static constexpr bool kInRegisters = true;
    __m256 numbers;

    static Window at(const float* from) { return {_mm256_loadu_ps(from)}; }
    Value pick(Index index) const {
        return reinterpret_cast<Value>(
            _mm256_permutevar8x32_ps(numbers, reinterpret_cast<__m256i>(index)));
    }
};

template <>
struct Window<float, 2> {
    using S = Simd<float>;
    using Value = S::Value;
    using Index = S::Index;
    static constexpr int kSize = 2 * S::kWidth;
    static constexpr bool kInRegisters = true;
    __m256 low, high;

    static Window at(const float* from) {
        return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + S::kWidth)};
    }
    Value pick(Index index) const {
        const __m256i lanes = reinterpret_cast<__m256i>(index);
        const __m256 near = _mm256_permutevar8x32_ps(low, lanes);
        const __m256 far = _mm256_permutevar8x32_ps(high, lanes);
        const __m256 behind = _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 28));
        return reinterpret_cast<Value>(_mm256_blendv_ps(near, far, behind));
    }
    void add_bits(const Window& more) {
        low = _mm256_castsi256_ps(
            _mm256_add_epi32(_mm256_castps_si256(low), _mm256_castps_si256(more.low)));
        high = _mm256_castsi256_ps(
            _mm256_add_epi32(_mm256_castps_si256(high), _mm256_castps_si256(more.high)));
    }
};

template <>
struct Window<float, 4> {
    using S = Simd<float>;
    using Value = S::Value;
    using Index = S::Index;
    static constexpr int kSize = 4 * S::kWidth;
    static constexpr bool kInRegisters = true;
    Window<float, 2> first, second;

    static Window at(const float* from) {
        return {Window<float, 2>::at(from), Window<float, 2>::at(from + 2 * S::kWidth)};
    }
    Value pick(Index index) const {
        const __m256 near = reinterpret_cast<__m256>(first.pick(index));
        const __m256 far = reinterpret_cast<__m256>(second.pick(index));
        const __m256 behind =
            _mm256_castsi256_ps(_mm256_slli_epi32(reinterpret_cast<__m256i>(index), 27));
        return reinterpret_cast<Value>(_mm256_blendv_ps(near, far, behind));
    }
    void add_bits(const Window& more) {
        first.add_bits(more.first);
        second.add_bits(more.second);
    }
};

#endif

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
