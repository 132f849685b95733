#include "dispatch.hpp"

#include <atomic>

#include "ray2d/joseph.hpp"

namespace joseph {
namespace {

enum class Isa : int { kBest, kPortable, kAvx2, kAvx512 };

std::atomic<Isa> wanted{Isa::kBest};

const char* name(Isa isa) {
    switch (isa) {
        case Isa::kAvx512: return "avx512";
        case Isa::kAvx2: return "avx2";
        default: return "portable";
    }
}

bool supported(Isa isa) {
#if defined(JOSEPH_X86)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == Isa::kAvx2) return avx2;
    if (isa == Isa::kAvx512) {
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    }
#endif
    return isa == Isa::kPortable;
}

std::vector<Isa> available() {
    std::vector<Isa> result;
    for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kPortable}) {
        if (supported(isa)) result.push_back(isa);
    }
    return result;
}

Isa chosen() {
    static const Isa best = available().front();
    const Isa isa = wanted.load(std::memory_order_relaxed);
    return isa == Isa::kBest ? best : isa;
}

}  // namespace

std::vector<std::string> available_isas() {
    std::vector<std::string> result;
    for (const Isa isa : available()) result.emplace_back(name(isa));
    return result;
}

bool set_isa(const std::string& wish) {
    if (wish.empty()) {
        wanted = Isa::kBest;
        return true;
    }
    for (const Isa isa : available()) {
        if (wish == name(isa)) {
            wanted = isa;
            return true;
        }
    }
    return false;
}

std::string current_isa() { return name(chosen()); }

template <typename T>
const Kernels<T>& chosen_kernels() {
    switch (chosen()) {
#if defined(JOSEPH_X86)
        case Isa::kAvx512: return avx512::kernels<T>();
        case Isa::kAvx2: return avx2::kernels<T>();
#endif
        default: return portable::kernels<T>();
    }
}

template <typename T>
const VolumeKernels<T>& chosen_volume_kernels() {
    switch (chosen()) {
#if defined(JOSEPH_X86)
        case Isa::kAvx512: return avx512::volume_kernels<T>();
        case Isa::kAvx2: return avx2::volume_kernels<T>();
#endif
        default: return portable::volume_kernels<T>();
    }
}

template <typename T>
const VoxelKernels<T>& chosen_voxel_kernels() {
    switch (chosen()) {
#if defined(JOSEPH_X86)
        case Isa::kAvx512: return avx512::voxel_kernels<T>();
        case Isa::kAvx2: return avx2::voxel_kernels<T>();
#endif
        default: return portable::voxel_kernels<T>();
    }
}

template <typename T>
const PixelKernels<T>& chosen_pixel_kernels() {
    switch (chosen()) {
#if defined(JOSEPH_X86)
        case Isa::kAvx512: return avx512::pixel_kernels<T>();
        case Isa::kAvx2: return avx2::pixel_kernels<T>();
#endif
        default: return portable::pixel_kernels<T>();
    }
}

template const Kernels<float>& chosen_kernels();
template const Kernels<double>& chosen_kernels();
template const VolumeKernels<float>& chosen_volume_kernels();
template const VolumeKernels<double>& chosen_volume_kernels();
template const VoxelKernels<float>& chosen_voxel_kernels();
template const VoxelKernels<double>& chosen_voxel_kernels();
template const PixelKernels<float>& chosen_pixel_kernels();
template const PixelKernels<double>& chosen_pixel_kernels();

}  // namespace joseph
