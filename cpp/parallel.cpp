#include "parallel.hpp"

#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <dlfcn.h>
#endif

namespace joseph {
namespace {

// The OpenMP runtime that PyTorch has loaded. Sharing its pool, instead of linking one of our own,
// keeps two teams of threads from waiting for each other's processors, and saves starting any.
struct Pool {
    using Region = void (*)(void*);
    void (*parallel)(Region, void*, unsigned, unsigned) = nullptr;
    int (*worker)() = nullptr;

    Pool() {
#if defined(__linux__)
        parallel = reinterpret_cast<decltype(parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
        worker = reinterpret_cast<decltype(worker)>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
#endif
    }
    bool found() const { return parallel != nullptr && worker != nullptr; }
};

const Pool& pool() {
    static const Pool found;
    return found;
}

struct Call {
    void (*work)(void*, unsigned);
    void* argument;
};

void run_in_pool(void* data) {
    const Call& call = *static_cast<const Call*>(data);
    call.work(call.argument, static_cast<unsigned>(pool().worker()));
}

}  // namespace

void run_team(unsigned team, void (*work)(void*, unsigned), void* argument) {
    if (pool().found()) {
        Call call{work, argument};
        pool().parallel(run_in_pool, &call, team, 0);
        return;
    }
    std::vector<std::thread> others;
    others.reserve(team);
    try {
        for (unsigned worker = 1; worker < team; ++worker) {
            others.emplace_back(work, argument, worker);
        }
    } catch (const std::system_error&) {
        // The system has no thread left: those that run share the tasks.
    }
    work(argument, 0);
    for (auto& other : others) other.join();
}

}  // namespace joseph
