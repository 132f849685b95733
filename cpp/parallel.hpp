// Tasks on the threads that PyTorch already has, or on plain threads started per call: none of
// these survives it, so a fork() in between is safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace joseph {

// Runs work(argument, worker) on `team` threads, worker < team; returns when all are done.
void run_team(unsigned team, void (*work)(void* argument, unsigned worker), void* argument);

// Calls body(worker, task) once for every task < tasks; worker < threads. `body` must not throw.
template <typename Body>
void parallel_for(std::size_t tasks, unsigned threads, const Body& body) {
    struct Shared {
        std::atomic<std::size_t> next;
        std::size_t tasks;
        const Body& body;
    } shared{{0}, tasks, body};
    const auto work = [](void* argument, unsigned worker) {
        Shared& s = *static_cast<Shared*>(argument);
        for (std::size_t task;
             (task = s.next.fetch_add(1, std::memory_order_relaxed)) < s.tasks;) {
            s.body(worker, task);
        }
    };
    const std::size_t team = std::min<std::size_t>(std::max(threads, 1u), tasks);
    if (team <= 1) {
        work(&shared, 0);
    } else {
        run_team(static_cast<unsigned>(team), work, &shared);
    }
}

}  // namespace joseph
