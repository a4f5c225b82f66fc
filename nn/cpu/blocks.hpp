// How a batch of boards is cut: a share for each thread, and in it blocks whose transformed tiles stay in the cache.
#pragma once

#include <algorithm>
#include <unistd.h>

#include "kernels.hpp"
#include "pool.hpp"

namespace nn {

// Floats of transformed tiles that are in use at a time: a quarter of this core's second-level cache, which leaves room
// for the filters that pass through it and for the activations.
inline long cache_floats() {
    static const long bytes = std::max(sysconf(_SC_LEVEL2_CACHE_SIZE), 256l << 10);
    return bytes / 4 / long(sizeof(float));
}

// Boards that are worked on together: as many as fit the cache with `floats_per_board`.
inline int boards_in_cache(long floats_per_board) {
    return int(std::clamp(cache_floats() / floats_per_board, 1l, 64l));
}
inline int block_boards(const Kernels& k, const Conv& c) { return boards_in_cache(k.scratch_size(c, 1)); }

// Boards of a block of the weight gradient: its sums are read and written once for each, so it must not be too short.
inline int gradient_block_boards(const Kernels& k, const Conv& c) {
    constexpr int tiles = 108;
    return std::max(block_boards(k, c), tiles / c.tiles());
}

// At most `threads`, and one for each piece of work.
inline int useful_threads(long work, int threads) { return int(std::max(1l, std::min<long>(threads, work))); }

// f(thread, first board, boards, memory of `floats`) over each thread's share, `block` boards at a time
template <class F> void each_block(int boards, int block, int threads, long floats, F f) {
    parallel(threads, [&](int id) {
        float* memory = scratch(floats);
        const Share share(boards, id, threads);
        for (long b = share.begin; b < share.end; b += block)
            f(id, b, int(std::min<long>(block, share.end - b)), memory);
    });
}

}  // namespace nn
