// Vectors of rays, and the two neighbouring pixels that each of them reads. Part of kernels.cpp:
// everything is internal to the instruction set that it is compiled for.
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

// One machine vector of T and as many 32-bit indices.
template <typename T>
struct Pack {
    static constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(T));
    typedef T Value __attribute__((vector_size(kVectorBytes)));
    typedef int32_t Index __attribute__((vector_size(kWidth * 4)));
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

// left[i] = row[index[i]], right[i] = row[index[i] + 1].
template <typename T>
inline void gather_pairs(const T* row, const typename Pack<T>::Index& index,
                         typename Pack<T>::Value& left, typename Pack<T>::Value& right) {
    for (int i = 0; i < Pack<T>::kWidth; ++i) {
        left[i] = row[index[i]];
        right[i] = row[index[i] + 1];
    }
}

#if defined(__AVX512F__)

template <>
inline void gather_pairs<float>(const float* row, const Pack<float>::Index& index,
                                Pack<float>::Value& left, Pack<float>::Value& right) {
    const __m512i all = reinterpret_cast<const __m512i&>(index);
    // Positions are monotone along the detector. Where the pixels span is at most 32, two loads and
    // two permutations replace 32 loads.
    const int32_t start = index[0] < index[15] ? index[0] : index[15];
    const __m512i near = _mm512_sub_epi32(all, _mm512_set1_epi32(start));
    if (_mm512_cmpgt_epu32_mask(near, _mm512_set1_epi32(30)) == 0) {
        const __m512 low = _mm512_loadu_ps(row + start);
        const __m512 high = _mm512_loadu_ps(row + start + 16);
        left = _mm512_permutex2var_ps(low, near, high);
        right = _mm512_permutex2var_ps(low, _mm512_add_epi32(near, _mm512_set1_epi32(1)), high);
    } else {
        left = _mm512_i32gather_ps(all, row, 4);
        right = _mm512_i32gather_ps(all, row + 1, 4);
    }
}

template <>
inline void gather_pairs<double>(const double* row, const Pack<double>::Index& index,
                                 Pack<double>::Value& left, Pack<double>::Value& right) {
    const __m256i all = reinterpret_cast<const __m256i&>(index);
    left = _mm512_i32gather_pd(all, row, 8);
    right = _mm512_i32gather_pd(all, row + 1, 8);
}

#elif defined(__AVX2__)

template <>
inline void gather_pairs<float>(const float* row, const Pack<float>::Index& index,
                                Pack<float>::Value& left, Pack<float>::Value& right) {
    const __m256i all = reinterpret_cast<const __m256i&>(index);
    left = _mm256_i32gather_ps(row, all, 4);
    right = _mm256_i32gather_ps(row + 1, all, 4);
}

template <>
inline void gather_pairs<double>(const double* row, const Pack<double>::Index& index,
                                 Pack<double>::Value& left, Pack<double>::Value& right) {
    const __m128i all = reinterpret_cast<const __m128i&>(index);
    left = _mm256_i32gather_pd(row, all, 8);
    right = _mm256_i32gather_pd(row + 1, all, 8);
}

#endif

}  // namespace
}  // namespace JOSEPH_ISA
}  // namespace joseph
