#include "engine.hpp"

#include <algorithm>

#include "blocks.hpp"
#include "slots.hpp"

namespace nn {
namespace {

// Boards that go through a tower together, for filters of this size. Few, so that their activations stay in the
// second-level cache; more where every slice must read the filters from beyond the caches again.
int slice_boards(long filter_floats) { return int(std::clamp(filter_floats >> 19, 4l, 16l)); }

int best_tile(int points) {
    const auto products = [&](int m) { return (points + m - 1) / m * (m + 2); };
    int best = 2;
    for (int m : {3, 4})
        if (products(m) < 0.85 * products(best)) best = m;
    return best;
}

}  // namespace

Tile best_tile(int rows, int cols) { return {best_tile(rows), best_tile(cols)}; }

void conv3x3(const Kernels& k, const Conv& c, const float* x, const float* weight, const float* bias, float* y,
             int boards, int threads) {
    threads = useful_threads(boards, threads);
    Floats filters(k.filter_size(c));
    k.transform_filters(c, weight, filters.data());
    const int block = block_boards(k, c);
    each_block(boards, block, threads, k.scratch_size(c, block), [&](int, long b, int n, float* memory) {
        k.convolve(c, x + b * c.points() * c.in, filters.data(), {bias, nullptr, false}, y + b * c.points() * c.out, n,
                   memory);
    });
}

void dense(const Kernels& k, const float* x, const float* weight, const float* bias, bool relu, float* y, long rows, int in,
           int out, int threads) {
    constexpr long grain = 1 << 19;  // products that are worth waking a thread for
    threads = useful_threads(std::min(rows, rows * in * out / grain), threads);
    parallel(threads, [&](int id) {
        const Share share(rows, id, threads);
        k.dense(x + share.begin * in, weight, {bias, nullptr, relu}, y + share.begin * out, share.end - share.begin, in,
                out);
    });
}

void global_pool(const Kernels& k, const float* x, float* y, int boards, long points, int channels, int threads) {
    constexpr long grain = 1 << 17;  // values that are worth waking a thread for
    threads = useful_threads(std::min<long>(boards, boards * points * channels / grain), threads);
    parallel(threads, [&](int id) {
        const Share share(boards, id, threads);
        for (long b = share.begin; b < share.end; b++)
            k.global_pool(x + b * points * channels, points, channels, y + 2 * b * channels, y + (2 * b + 1) * channels);
    });
}

void Tower::add(Tile tile, const float* weight, const float* bias, int in, int out, int residual, bool relu) {
    Layer layer{{rows_, cols_, in, out, tile}, {}, Floats(bias, bias + out), residual, relu};
    layer.filters.resize(kernels_.filter_size(layer.conv));
    kernels_.transform_filters(layer.conv, weight, layer.filters.data());
    if (residual == OUTSIDE) outside_size_ = layer.conv.points() * out;
    layers_.push_back(std::move(layer));
    plan();
}

// Chooses the buffers and the boards per pass.
void Tower::plan() {
    std::vector<int> residual;
    long floats = 0, work = 0, filters = 0;
    for (const Layer& layer : layers_) {
        residual.push_back(layer.residual);
        floats = std::max(floats, layer.conv.points() * layer.conv.out);
        work = std::max(work, kernels_.scratch_size(layer.conv, 1));
        filters += long(layer.filters.size());
    }
    const std::vector<int> slots = assign_slots(residual);
    for (size_t l = 0; l < layers_.size(); l++) layers_[l].slot = slots[l];
    slots_ = 1 + *std::max_element(slots.begin(), slots.end());
    block_ = boards_in_cache(work);
    slice_ = std::max(1, slice_boards(filters) / block_) * block_;
    slot_size_ = (slice_ * floats + 15) / 16 * 16;
    for (const Layer& layer : layers_) work_size_ = std::max(work_size_, kernels_.scratch_size(layer.conv, block_));
}

void Tower::run_slice(const float* x, const float* outside, float* y, int boards, float* memory) const {
    float *slots = memory, *work = memory + slots_ * slot_size_;
    const auto source = [&](int residual) -> const float* {
        if (residual < 0) return residual == OUTSIDE ? outside : nullptr;
        return slots + layers_[residual].slot * slot_size_;
    };
    for (const Layer& layer : layers_) {
        float* out = &layer == &layers_.back() ? y : slots + layer.slot * slot_size_;
        const float* residual = source(layer.residual);
        for (int b = 0; b < boards; b += block_) {
            const long at = b * layer.conv.points() * layer.conv.out;
            kernels_.convolve(layer.conv, x + b * layer.conv.points() * layer.conv.in, layer.filters.data(),
                              {layer.bias.data(), residual ? residual + at : nullptr, layer.relu}, out + at,
                              std::min(block_, boards - b), work);
        }
        x = out;
    }
}

void Tower::run(const float* x, const float* outside, float* y, int boards, int threads) {
    if (layers_.empty()) return;
    const Conv &first = layers_.front().conv, &last = layers_.back().conv;
    threads = useful_threads(boards, threads);
    parallel(threads, [&](int id) {
        float* memory = scratch(slots_ * slot_size_ + work_size_);
        const Share share(boards, id, threads);
        for (long b = share.begin; b < share.end; b += slice_)
            run_slice(x + b * first.points() * first.in, outside + b * outside_size_, y + b * last.points() * last.out,
                      int(std::min<long>(slice_, share.end - b)), memory);
    });
}

}  // namespace nn
