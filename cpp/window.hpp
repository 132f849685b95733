// Look-ups in memory at vectors of places, for volumes and voxels. Everything is internal to the
// instruction set that it is compiled for.
#pragma once

#include <stddef.h>

#include "vector.hpp"

namespace joseph {
namespace JOSEPH_ISA {
namespace {

// NaN becomes `low`.
template <typename T>
inline T clamp(T value, T low, T high) {
    const T raised = value > low ? value : low;
    return raised > high ? high : raised;
}

#if defined(__AVX512F__)

// whole = floor(position), fraction = position - whole.
inline void split(Value<float> position, Index<float>& whole, Value<float>& fraction) {
    whole = reinterpret_cast<Index<float>>(
        _mm512_cvt_roundps_epi32(position, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
    fraction = _mm512_reduce_ps(position, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

inline void split(Value<double> position, Index<double>& whole, Value<double>& fraction) {
    whole = reinterpret_cast<Index<double>>(
        _mm512_cvt_roundpd_epi32(position, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
    fraction = _mm512_reduce_pd(position, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

// centre[i] for kWidth indices i, each between -kWidth and kWidth - 1: two loads and a permutation
// that takes indices modulo 2 kWidth.
template <typename T>
struct Window;

template <>
struct Window<float> {
    explicit Window(const float* centre)
        : right(_mm512_loadu_ps(centre)), left(_mm512_loadu_ps(centre - 16)) {}
    Value<float> operator[](Index<float> i) const {
        return _mm512_permutex2var_ps(right, reinterpret_cast<__m512i>(i), left);
    }
    __m512 right, left;
};

template <>
struct Window<double> {
    explicit Window(const double* centre)
        : right(_mm512_loadu_pd(centre)), left(_mm512_loadu_pd(centre - 8)) {}
    Value<double> operator[](Wide<double> i) const {
        return _mm512_permutex2var_pd(right, reinterpret_cast<__m512i>(i), left);
    }
    Value<double> operator[](Index<double> i) const {
        return (*this)[__builtin_convertvector(i, Wide<double>)];
    }
    __m512d right, left;
};

inline Value<float> gather(const float* from, Index<float> i) {
    return _mm512_i32gather_ps(reinterpret_cast<__m512i>(i), from, 4);
}
inline Value<double> gather(const double* from, Index<double> i) {
    return _mm512_i32gather_pd(reinterpret_cast<__m256i>(i), from, 8);
}

#elif defined(__AVX2__)

inline void split(Value<float> position, Index<float>& whole, Value<float>& fraction) {
    const Value<float> down = rounded_down(position);
    whole = reinterpret_cast<Index<float>>(_mm256_cvtps_epi32(down));
    fraction = position - down;
}

inline void split(Value<double> position, Index<double>& whole, Value<double>& fraction) {
    const Value<double> down = rounded_down(position);
    whole = reinterpret_cast<Index<double>>(_mm256_cvtpd_epi32(down));
    fraction = position - down;
}

inline Value<float> gather(const float* from, Index<float> i) {
    return _mm256_i32gather_ps(from, reinterpret_cast<__m256i>(i), 4);
}
inline Value<double> gather(const double* from, Index<double> i) {
    return _mm256_i32gather_pd(from, reinterpret_cast<__m128i>(i), 8);
}

template <typename T>
struct Window {
    explicit Window(const T* middle) : centre(middle) {}
    Value<T> operator[](Index<T> i) const { return gather(centre, i); }
    const T* centre;
};

template <>
struct Window<float> {
    explicit Window(const float* centre)
        : right(_mm256_loadu_ps(centre)), left(_mm256_loadu_ps(centre - 8)) {}
    Value<float> operator[](Index<float> i) const {
        const __m256i index = reinterpret_cast<__m256i>(i);
        return _mm256_blendv_ps(_mm256_permutevar8x32_ps(right, index),
                                _mm256_permutevar8x32_ps(left, index),
                                _mm256_castsi256_ps(index));
    }
    __m256 right, left;
};

#else

template <typename V, typename I>
inline void split(V position, I& whole, V& fraction) {
    const I cut = __builtin_convertvector(position, I);
    const V back = __builtin_convertvector(cut, V);
    whole = cut + __builtin_convertvector(back > position, I);
    fraction = position - __builtin_convertvector(whole, V);
}

template <typename T>
struct Window {
    explicit Window(const T* middle) : centre(middle) {}
    Value<T> operator[](Index<T> i) const {
        Value<T> result;
        for (ptrdiff_t lane = 0; lane < Pack<T>::kWidth; ++lane) result[lane] = centre[i[lane]];
        return result;
    }
    const T* centre;
};

inline Value<float> gather(const float* from, Index<float> i) { return Window<float>(from)[i]; }
inline Value<double> gather(const double* from, Index<double> i) { return Window<double>(from)[i]; }

#endif

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
