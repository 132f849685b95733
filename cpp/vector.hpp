// Machine vectors of numbers, shared by all kernels. Everything is internal to the instruction set
// that it is compiled for.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "whole.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace joseph {
namespace JOSEPH_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// One machine vector of T, one of whole numbers as wide, and as many 32-bit indices.
template <typename T>
struct Pack {
    using Signed = typename Whole<T>::Signed;
    using Word = typename Whole<T>::Unsigned;
    static constexpr ptrdiff_t kWidth = kVectorBytes / static_cast<ptrdiff_t>(sizeof(T));
    typedef T Value __attribute__((vector_size(kVectorBytes)));
    typedef Signed Wide __attribute__((vector_size(kVectorBytes)));
    typedef Word Words __attribute__((vector_size(kVectorBytes)));
    typedef int32_t Index __attribute__((vector_size(kWidth * 4)));
};
template <typename T>
using Value = typename Pack<T>::Value;
template <typename T>
using Wide = typename Pack<T>::Wide;
template <typename T>
using Words = typename Pack<T>::Words;
template <typename T>
using Index = typename Pack<T>::Index;

// As many doubles as a machine vector holds, and numbers to which they are rounded.
constexpr ptrdiff_t kDoubles = Pack<double>::kWidth;
template <typename T>
struct Rounded {
    typedef T Type __attribute__((vector_size(kDoubles * sizeof(T))));
};

template <typename Vector, typename T>
inline Vector load(const T* from) {
    Vector result;
    __builtin_memcpy(&result, from, sizeof result);
    return result;
}

template <typename Vector, typename T>
inline void store(T* to, Vector value) {
    __builtin_memcpy(to, &value, sizeof value);
}

template <typename T>
constexpr T least(T a, T b) {
    return a < b ? a : b;
}

template <typename T>
constexpr T most(T a, T b) {
    return a > b ? a : b;
}

// 0, 1, 2, ...
template <typename T>
inline Value<T> lanes() {
    Value<T> result;
    for (ptrdiff_t i = 0; i < Pack<T>::kWidth; ++i) result[i] = static_cast<T>(i);
    return result;
}

// The same minus their mean.
template <typename T>
inline Value<T> centred_lanes() {
    return lanes<T>() - static_cast<T>(Pack<T>::kWidth - 1) / 2;
}

template <typename T>
inline Value<T> all(T value) {
    return value - Value<T>{};
}

template <typename T>
inline Value<T> magnitude(Value<T> value) {
    constexpr auto kSign = typename Pack<T>::Word{1} << (8 * sizeof(T) - 1);
    return reinterpret_cast<Value<T>>(reinterpret_cast<Words<T>>(value) & ~kSign);
}

template <typename T>
inline void store_rounded(T* to, Value<double> values) {
    store(to, __builtin_convertvector(values, typename Rounded<T>::Type));
}

#if defined(__AVX512F__)

inline Value<float> least(Value<float> a, Value<float> b) { return _mm512_min_ps(a, b); }
inline Value<float> most(Value<float> a, Value<float> b) { return _mm512_max_ps(a, b); }
inline Value<double> least(Value<double> a, Value<double> b) { return _mm512_min_pd(a, b); }
inline Value<double> most(Value<double> a, Value<double> b) { return _mm512_max_pd(a, b); }

// a b + c, rounded once.
inline Value<float> fused(Value<float> a, Value<float> b, Value<float> c) {
    return _mm512_fmadd_ps(a, b, c);
}
inline Value<double> fused(Value<double> a, Value<double> b, Value<double> c) {
    return _mm512_fmadd_pd(a, b, c);
}

inline Value<float> rounded_down(Value<float> a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
inline Value<double> rounded_down(Value<double> a) {
    return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

#elif defined(__AVX2__)

inline Value<float> least(Value<float> a, Value<float> b) { return _mm256_min_ps(a, b); }
inline Value<float> most(Value<float> a, Value<float> b) { return _mm256_max_ps(a, b); }
inline Value<double> least(Value<double> a, Value<double> b) { return _mm256_min_pd(a, b); }
inline Value<double> most(Value<double> a, Value<double> b) { return _mm256_max_pd(a, b); }

// a b + c, rounded once.
inline Value<float> fused(Value<float> a, Value<float> b, Value<float> c) {
    return _mm256_fmadd_ps(a, b, c);
}
inline Value<double> fused(Value<double> a, Value<double> b, Value<double> c) {
    return _mm256_fmadd_pd(a, b, c);
}

inline Value<float> rounded_down(Value<float> a) { return _mm256_floor_ps(a); }
inline Value<double> rounded_down(Value<double> a) { return _mm256_floor_pd(a); }

#else

template <typename V>
inline V least_of(V a, V b) {
    return a < b ? a : b;
}
template <typename V>
inline V most_of(V a, V b) {
    return a > b ? a : b;
}
inline Value<float> least(Value<float> a, Value<float> b) { return least_of(a, b); }
inline Value<float> most(Value<float> a, Value<float> b) { return most_of(a, b); }
inline Value<double> least(Value<double> a, Value<double> b) { return least_of(a, b); }
inline Value<double> most(Value<double> a, Value<double> b) { return most_of(a, b); }

// a b + c, rounded once only where the machine can.
template <typename V>
inline V fused(V a, V b, V c) {
    return a * b + c;
}

// Of numbers that are whole numbers of their width when they are rounded.
template <typename T>
inline Value<T> rounded_down_to(Value<T> a) {
    Value<T> result;
    for (ptrdiff_t i = 0; i < Pack<T>::kWidth; ++i) {
        const T whole = static_cast<T>(static_cast<typename Pack<T>::Signed>(a[i]));
        result[i] = whole - (whole > a[i] ? 1 : 0);
    }
    return result;
}
inline Value<float> rounded_down(Value<float> a) { return rounded_down_to<float>(a); }
inline Value<double> rounded_down(Value<double> a) { return rounded_down_to<double>(a); }

#endif

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
