// Tasks on plain threads, started per call: none survives it, so a fork() in between is safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace joseph {

// Calls body(worker, task) once for every task < tasks; worker < threads. `body` must not throw.
template <typename Body>
void parallel_for(std::size_t tasks, unsigned threads, const Body& body) {
    std::atomic<std::size_t> next{0};
    const auto work = [&](unsigned worker) {
        for (std::size_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) {
            body(worker, task);
        }
    };
    const std::size_t team = std::min<std::size_t>(std::max(threads, 1u), tasks);
    std::vector<std::thread> others;
    others.reserve(team);
    try {
        for (unsigned worker = 1; worker < team; ++worker) others.emplace_back(work, worker);
    } catch (const std::system_error&) {
        // The system has no thread left: those that run share the tasks.
    }
    work(0);
    for (auto& other : others) other.join();
}

}  // namespace joseph
