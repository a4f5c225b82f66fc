// Runs the kernels of nn/cuda on the CPU: every thread of a block is a fiber, barriers switch to the next one.
//
// One block after the other, one fiber at a time, in order: deterministic. The warp-wide instructions follow PTX's
// documented layouts (ldmatrix, mma.m16n8k16); they take a barrier of the warp to gather the lanes' operands.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define SHARED_BUFFER(name) unsigned char* name = simulator::shared
#define __syncthreads() simulator::barrier(simulator::block)

struct Dim { unsigned x, y, z; };
static Dim threadIdx, blockIdx, gridDim;

struct alignas(16) Fragment { uint32 r[4]; };

static inline uint32 bits_of(float f) { uint32 u; std::memcpy(&u, &f, 4); return u; }
static inline float float_of(uint32 u) { float f; std::memcpy(&f, &u, 4); return f; }

namespace simulator {
alignas(64) static unsigned char shared[232448];  // of one block on a Hopper card

struct Barrier { int size, waiting = 0; long generation = 0; };
struct Fiber { ucontext_t context; std::unique_ptr<char[]> stack; bool done; unsigned index; };

static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static Fiber* current;
static Barrier block;
static std::vector<Barrier> warps;
static std::vector<std::vector<uint64_t>> exchange;  // [thread]: operands shown to the warp
static std::function<void()> body;

static void leave() { swapcontext(&current->context, &scheduler); threadIdx = {current->index, 0, 0}; }
static void barrier(Barrier& b) {
    const long generation = b.generation;
    if (++b.waiting == b.size) b.waiting = 0, b.generation++;
    while (b.generation == generation) leave();
}
static Barrier& warp() { return warps[threadIdx.x / 32]; }
static const std::vector<uint64_t>& lane(int i) { return exchange[threadIdx.x / 32 * 32 + i]; }
static void show(std::vector<uint64_t> operands) { exchange[threadIdx.x] = std::move(operands); barrier(warp()); }

static void start() { body(); current->done = true; swapcontext(&current->context, &scheduler); }

static void launch(Dim grid, unsigned threads, std::function<void()> kernel) {
    constexpr size_t STACK = 256 << 10;
    body = std::move(kernel), gridDim = grid;
    fibers.resize(threads), exchange.assign(threads, {});
    for (blockIdx = {0, 0, 0}; blockIdx.y < grid.y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
            std::memset(shared, 0xFF, sizeof shared);  // NaN: what a kernel forgets to write shows
            block = {int(threads)}, warps.assign((threads + 31) / 32, Barrier{32});
            for (unsigned t = 0; t < threads; t++) {
                Fiber& f = fibers[t];
                if (!f.stack) f.stack.reset(new char[STACK]);
                getcontext(&f.context);
                f.context.uc_stack.ss_sp = f.stack.get(), f.context.uc_stack.ss_size = STACK;
                f.context.uc_link = nullptr, f.done = false, f.index = t;
                makecontext(&f.context, start, 0);
            }
            for (unsigned left = threads; left;) {
                left = 0;
                for (Fiber& f : fibers) {
                    if (f.done) continue;
                    current = &f, threadIdx = {f.index, 0, 0};
                    swapcontext(&scheduler, &f.context);
                    left += !f.done;
                }
            }
        }
}
}  // namespace simulator

static inline void load_matrices(Fragment& f, const bf16* row) {
    simulator::show({uint64_t(row)});
    const int lane = threadIdx.x % 32;
    for (int m = 0; m < 4; m++) {
        const bf16* from = reinterpret_cast<const bf16*>(simulator::lane(8 * m + lane / 4)[0]);
        std::memcpy(&f.r[m], from + 2 * (lane % 4), 4);
    }
    simulator::barrier(simulator::warp());
}

static inline void multiply_add(float (&d)[4], const Fragment& a, uint32 b0, uint32 b1) {
    simulator::show({a.r[0], a.r[1], a.r[2], a.r[3], b0, b1});
    const auto value = [](uint64_t pair, int high) { return float_of(uint32(pair) >> (16 * high) << 16); };
    const int lane = threadIdx.x % 32, group = lane / 4, member = lane % 4;
    for (int i = 0; i < 4; i++) {
        const int row = group + i / 2 * 8, column = 2 * member + i % 2;
        for (int k = 0; k < 16; k++) {
            const float x = value(simulator::lane(row % 8 * 4 + k % 8 / 2)[row / 8 + 2 * (k / 8)], k % 2);
            const float y = value(simulator::lane(column * 4 + k % 8 / 2)[4 + k / 8], k % 2);
            d[i] += x * y;
        }
    }
    simulator::barrier(simulator::warp());
}
