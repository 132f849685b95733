// Vectors of numbers and look-ups in memory, for volume_kernels.cpp. Everything is internal to the
// instruction set that it is compiled for.
#pragma once

#include <stddef.h>
#include <stdint.h>

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

template <typename T>
struct Plain {
    using Type = T;
};
template <typename T>
struct Plain<const T> {
    using Type = T;
};
template <typename T>
using RemoveConst = typename Plain<T>::Type;

template <typename T>
struct Whole;
template <>
struct Whole<float> {
    typedef int32_t Signed;
    typedef uint32_t Unsigned;
};
template <>
struct Whole<double> {
    typedef int64_t Signed;
    typedef uint64_t Unsigned;
};

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
inline T least(T a, T b) {
    return a < b ? a : b;
}

template <typename T>
inline T most(T a, T b) {
    return a > b ? a : b;
}

// NaN becomes `low`.
template <typename T>
inline T clamp(T value, T low, T high) {
    const T raised = value > low ? value : low;
    return raised > high ? high : raised;
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

inline void split(Value<float> position, Index<float>& whole, Value<float>& fraction) {
    const __m256 down = _mm256_floor_ps(position);
    whole = reinterpret_cast<Index<float>>(_mm256_cvtps_epi32(down));
    fraction = position - down;
}

inline void split(Value<double> position, Index<double>& whole, Value<double>& fraction) {
    const __m256d down = _mm256_floor_pd(position);
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
