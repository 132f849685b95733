// Uninitialised memory on cache line boundaries.
#pragma once

#include <cstddef>
#include <new>

namespace joseph {

template <typename T>
class Buffer {
public:
    explicit Buffer(std::size_t size)
        : data_(static_cast<T*>(::operator new(size * sizeof(T), kAlignment))) {}
    ~Buffer() { ::operator delete(data_, kAlignment); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    T* data() { return data_; }
    const T* data() const { return data_; }

private:
    static constexpr std::align_val_t kAlignment{64};
    T* data_;
};

}  // namespace joseph
