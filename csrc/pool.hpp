// A few threads that share the work of one call.
#pragma once

#include <cstdint>
#include <functional>

namespace anonfilter {

// How many threads a call may use, its own included; at least 1. At first as many as this process may run on, 8 at most.
int threads();
// Samples times passes that are worth a thread: below, waking one costs more than it brings.
std::int64_t least_work();
void set_threads(int count, std::int64_t least);

// Calls task(0) .. task(count - 1), on up to `most` threads, the caller among them; returns when all are done. The first
// exception is thrown again here. While another call has the threads, the caller does the work alone.
void in_parallel(int most, int count, const std::function<void(int)>& task);

}  // namespace anonfilter
