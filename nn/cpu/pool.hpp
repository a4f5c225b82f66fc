// A small persistent thread pool. Idle workers sleep (they never spin), and a forked child starts a pool of its own.
#pragma once

namespace nn {

void run_parallel(int count, void (*task)(void*, int), void* context);

// f(0) ... f(count - 1), each once, on the caller's thread and count - 1 others; returns when all are done.
// f must not throw. May be called from several threads at once.
template <class F> void parallel(int count, F f) {
    run_parallel(count, [](void* context, int i) { (*static_cast<F*>(context))(i); }, &f);
}

// This thread's part of `total` pieces of work divided among `count` threads.
struct Share {
    long begin, end;
    Share(long total, int index, int count) : begin(total * index / count), end(total * (index + 1) / count) {}
};

// At least `floats` of memory, 64-byte aligned, one per thread and kept between calls; throws std::bad_alloc.
float* scratch(long floats);

}  // namespace nn
