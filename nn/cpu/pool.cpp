#include "pool.hpp"

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <unistd.h>

namespace nn {
namespace {

struct Job {
    void (*task)(void*, int);
    void* context;
    int count, next = 0, done = 0;
};

class Pool {
public:
    void run(Job& job) {
        std::unique_lock<std::mutex> lock(mutex_);
        for (; workers_ < job.count - 1; workers_++) std::thread(&Pool::work, this).detach();
        jobs_.push_back(&job);
        wake_.notify_all();
        while (job.next < job.count) step(job, lock);
        finished_.wait(lock, [&] { return job.done == job.count; });
    }

private:
    // Does the next piece of a job that has one left.
    void step(Job& job, std::unique_lock<std::mutex>& lock) {
        const int i = job.next++;
        if (job.next == job.count)
            for (auto at = jobs_.begin(); at != jobs_.end(); ++at)
                if (*at == &job) { jobs_.erase(at); break; }
        lock.unlock();
        job.task(job.context, i);
        lock.lock();
        if (++job.done == job.count) finished_.notify_all();
    }
    void work() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return !jobs_.empty(); });
            step(*jobs_.front(), lock);
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, finished_;
    std::deque<Job*> jobs_;  // with pieces left to start
    int workers_ = 0;
};

// Never destroyed: its workers sleep on it until the process ends. A forked child has no workers, so it begins anew.
Pool& pool() {
    static std::mutex mutex;
    static Pool* current = nullptr;
    static pid_t owner = 0;
    std::lock_guard<std::mutex> lock(mutex);
    if (owner != getpid()) current = new Pool, owner = getpid();
    return *current;
}

struct Free {
    void operator()(float* p) const { std::free(p); }
};

}  // namespace

void run_parallel(int count, void (*task)(void*, int), void* context) {
    if (count == 1) return task(context, 0);
    Job job{task, context, count};
    pool().run(job);
}

float* scratch(long floats) {
    static thread_local std::unique_ptr<float, Free> memory;
    static thread_local long size = 0;
    if (size < floats) {
        memory.reset();
        size = 0;
        const size_t bytes = (size_t(floats) * sizeof(float) + 4095) / 4096 * 4096;
        memory.reset(static_cast<float*>(std::aligned_alloc(4096, bytes)));
        if (!memory) throw std::bad_alloc();
        size = floats;
    }
    return memory.get();
}

}  // namespace nn
