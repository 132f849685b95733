// Whole numbers as wide as T.
#pragma once

#include <stdint.h>

namespace joseph {

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

}  // namespace joseph
