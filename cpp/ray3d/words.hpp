// Positions of rays as whole numbers, part of ray3d/kernels.cpp: both directions take their
// weights from the same ones, because a voxel that rays only graze has weights as small as one
// likes. In slice i ray n of a comb is at
//     round(position of the middle ray in slice i) + (n - middle ray) round(pitch in slice i)
// voxels along the line, as fixed-point numbers modulo the rest of the word. A rounded pitch shows
// after many rays: half a unit times half of kMostRays is 5e-7 voxels in single precision, 1e-13 in
// double. So words of single precision have more bits of fraction than its mantissa; converted, a
// fraction is rounded once, alike in both directions.
//
// Doubles from which words are made are computed without contraction to fused multiply-adds (see
// CMakeLists.txt), so that both directions and all instruction sets find equal ones.
#pragma once

#include "ray3d/kernels.hpp"
#include "window.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

template <typename T>
struct Fraction;
template <>
struct Fraction<float> {
    static constexpr int kBits = 27;
};
template <>
struct Fraction<double> {
    static constexpr int kBits = 49;
};

// The bits of double precision numbers around 2^52 + 2^51 count their distance from it.
constexpr double kCounted = 0x1.8p52;
constexpr uint64_t kCountedBits = 0x4338000000000000u;

template <typename T>
struct Position {
    using Word = typename Pack<T>::Word;
    static constexpr int kBits = Fraction<T>::kBits;
    static constexpr Word kOne = Word{1} << kBits;
    static constexpr T kUnit = 1 / static_cast<T>(kOne);
    // As many as doubles are in a vector.
    typedef Word Few __attribute__((vector_size(kDoubles * sizeof(Word))));

    // The nearest whole number.
    static Few nearest(Value<double> x) {
        if constexpr (sizeof(T) == 8) {
            return reinterpret_cast<Few>(x + kCounted) - kCountedBits;
        } else {
            Index<double> whole;
            Value<double> rest;
            split(x + 0.5, whole, rest);
            return reinterpret_cast<Few>(whole);
        }
    }
    static Few of(Value<double> x) {
        Index<double> whole;
        Value<double> rest;
        split(x, whole, rest);
        return (nearest(x - rest) << kBits) + nearest(rest * static_cast<double>(kOne));
    }
};

#if defined(__AVX512F__)

// As windows want their indices.
template <typename T>
using Lanes = Wide<T>;

// Voxels from 0 to the position, less than half the range of a word.
template <typename T>
inline Lanes<T> whole_of(Words<T> position) {
    return reinterpret_cast<Lanes<T>>(position) >> Position<T>::kBits;
}

// Signed words, rounded once.
template <typename T>
inline Value<T> units_of(Words<T> words) {
    return __builtin_convertvector(reinterpret_cast<Wide<T>>(words), Value<T>);
}

// A whole number.
template <typename T>
inline Words<T> word_of(Index<T> number, Value<T>) {
    return __builtin_convertvector(number, Words<T>);
}

#else

template <typename T>
using Lanes = Index<T>;

template <typename T>
Lanes<T> whole_of(Words<T> position);
template <typename T>
Value<T> units_of(Words<T> words);
template <typename T>
Words<T> word_of(Index<T> number, Value<T> same);

template <>
inline Lanes<float> whole_of<float>(Words<float> position) {
    return reinterpret_cast<Lanes<float>>(position) >> Position<float>::kBits;
}

template <>
inline Value<float> units_of<float>(Words<float> words) {
    return __builtin_convertvector(reinterpret_cast<Wide<float>>(words), Value<float>);
}

template <>
inline Words<float> word_of<float>(Index<float> number, Value<float>) {
    return reinterpret_cast<Words<float>>(number);
}

// Machines without AVX-512 neither shift nor convert signed numbers of 64 bits, only their halves.
inline Index<double> upper_halves(Words<double> words) {
#if defined(__AVX2__)
    const __m256i chosen = _mm256_setr_epi32(1, 3, 5, 7, 1, 3, 5, 7);
    const __m256i upper =
        _mm256_permutevar8x32_epi32(reinterpret_cast<__m256i>(words), chosen);
    return reinterpret_cast<Index<double>>(_mm256_castsi256_si128(upper));
#else
    int32_t upper[kDoubles];
    for (ptrdiff_t i = 0; i < kDoubles; ++i) upper[i] = static_cast<int32_t>(words[i] >> 32);
    return load<Index<double>>(upper);
#endif
}

template <>
inline Lanes<double> whole_of<double>(Words<double> position) {
    return upper_halves(position) >> (Position<double>::kBits - 32);
}

// Exact within 4 voxels. Further positions keep their sign and stay beyond.
template <>
inline Value<double> units_of<double>(Words<double> words) {
    return reinterpret_cast<Value<double>>(words + kCountedBits) - kCounted;
}

template <>
inline Words<double> word_of<double>(Index<double>, Value<double> same) {
    return reinterpret_cast<Words<double>>(same + kCounted) - kCountedBits;
}

#endif

template <typename T>
inline Value<T> fraction_of(Words<T> position) {
    return units_of<T>(position & (Position<T>::kOne - 1));
}

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
