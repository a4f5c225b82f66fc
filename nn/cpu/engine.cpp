#include "engine.hpp"

#include <algorithm>
#include <cmath>
#include <unistd.h>

#include "pool.hpp"
#include "slots.hpp"

namespace nn {
namespace {

// Floats of transformed tiles that are in use at a time: a quarter of this core's second-level cache, which leaves room
// for the filters that pass through it and for the activations.
long cache_floats() {
    static const long bytes = std::max(sysconf(_SC_LEVEL2_CACHE_SIZE), 256l << 10);
    return bytes / 4 / long(sizeof(float));
}

constexpr int GRADIENT_TILES = 108;

// Boards that go through a tower together, for filters of this size. Few, so that their activations stay in the
// second-level cache; more where every slice must read the filters from beyond the caches again.
int slice_boards(long filter_floats) { return int(std::clamp(filter_floats >> 19, 4l, 16l)); }

// Boards that are worked on together: as many as fit the cache with `floats_per_board`.
int boards_in_cache(long floats_per_board) { return int(std::clamp(cache_floats() / floats_per_board, 1l, 64l)); }

// f(thread, first board, boards, scratch) over each thread's share, `block` boards at a time
template <class F>
void each_block(const Kernels& k, const Conv& c, int boards, int block, int threads, F f) {
    parallel(threads, [&](int id) {
        float* memory = scratch(k.scratch_size(c, block));
        const Share share(boards, id, threads);
        for (long b = share.begin; b < share.end; b += block)
            f(id, b, int(std::min<long>(block, share.end - b)), memory);
    });
}

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
    threads = std::max(1, std::min(threads, boards));
    Floats filters(k.filter_size(c));
    k.transform_filters(c, weight, filters.data());
    each_block(k, c, boards, boards_in_cache(k.scratch_size(c, 1)), threads, [&](int, long b, int n, float* memory) {
        k.convolve(c, x + b * c.points() * c.in, filters.data(), {bias, nullptr, false}, y + b * c.points() * c.out, n,
                   memory);
    });
}

void conv3x3_grad_weight(const Kernels& k, const Conv& c, const float* x, const float* g, float* gradient, int boards,
                         int threads) {
    threads = std::max(1, std::min(threads, boards));
    const long size = k.filter_size(c);
    Floats parts(size * threads);
    // The sums are read and written once for each block, so it must not be too short.
    const int block = std::max(boards_in_cache(k.scratch_size(c, 1)), GRADIENT_TILES / c.tiles());
    each_block(k, c, boards, block, threads, [&](int id, long b, int n, float* memory) {
        k.weight_gradient(c, x + b * c.points() * c.in, g + b * c.points() * c.out, parts.data() + id * size, n,
                          memory);
    });
    for (int t = 1; t < threads; t++)
        for (long i = 0; i < size; i++) parts[i] += parts[t * size + i];
    k.restore_gradient(c, parts.data(), gradient);
}

void dense(const Kernels& k, const float* x, const float* weight, const float* bias, bool relu, float* y, long rows, int in,
           int out, int threads) {
    threads = int(std::max(1l, std::min<long>(threads, rows)));
    parallel(threads, [&](int id) {
        const Share share(rows, id, threads);
        k.dense(x + share.begin * in, weight, {bias, nullptr, relu}, y + share.begin * out, share.end - share.begin, in,
                out);
    });
}

void bn_act_forward(const Kernels& k, const float* y, const float* gamma, const float* beta, const float* residual,
                    float eps, bool relu, float* out, float* mean, float* inv_std, long rows, int channels,
                    int threads) {
    threads = int(std::max(1l, std::min<long>(threads, rows)));
    std::vector<double> sums(2l * channels * threads);
    parallel(threads, [&](int id) {
        const Share share(rows, id, threads);
        double* sum = sums.data() + 2l * channels * id;  // shifted by the first row: no cancellation in the variance
        k.moments(y + share.begin * channels, y, share.end - share.begin, channels, sum, sum + channels);
    });
    Floats scale(channels);
    for (int c = 0; c < channels; c++) {
        double sum = 0, square = 0;
        for (int t = 0; t < threads; t++) sum += sums[2l * channels * t + c], square += sums[2l * channels * t + channels + c];
        const double shifted = sum / rows, variance = square / rows - shifted * shifted;
        mean[c] = float(y[c] + shifted);
        inv_std[c] = float(1 / std::sqrt((variance < 0 ? 0 : variance) + eps));
        scale[c] = inv_std[c] * gamma[c];
    }
    parallel(threads, [&](int id) {
        const Share share(rows, id, threads);
        const long at = share.begin * channels;
        k.normalise(y + at, mean, scale.data(), beta, {nullptr, residual ? residual + at : nullptr, relu}, out + at,
                    share.end - share.begin, channels);
    });
}

void bn_act_backward(const Kernels& k, const float* g, const float* out, const float* y, const float* mean,
                     const float* inv_std, const float* gamma, float* gy, float* dgamma, float* dbeta, float* masked,
                     long rows, int channels, int threads) {
    threads = int(std::max(1l, std::min<long>(threads, rows)));
    std::vector<double> sums(2l * channels * threads);
    const auto shifted = [](auto* p, long at) { return p ? p + at : nullptr; };
    parallel(threads, [&](int id) {
        const Share share(rows, id, threads);
        const long at = share.begin * channels;
        double* sum = sums.data() + 2l * channels * id;
        k.gradient_sums(g + at, shifted(out, at), y + at, mean, share.end - share.begin, channels, sum, sum + channels);
    });
    Floats coefficients(3l * channels);
    float *scale = coefficients.data(), *slope = scale + channels, *constant = slope + channels;
    for (int c = 0; c < channels; c++) {
        double sum = 0, product = 0;
        for (int t = 0; t < threads; t++) sum += sums[2l * channels * t + c], product += sums[2l * channels * t + channels + c];
        dbeta[c] = float(sum);
        dgamma[c] = float(product * inv_std[c]);
        const double factor = double(gamma[c]) * inv_std[c];
        scale[c] = float(factor);
        slope[c] = float(-factor * inv_std[c] * inv_std[c] * product / rows);
        constant[c] = float(-factor * sum / rows);
    }
    parallel(threads, [&](int id) {
        const Share share(rows, id, threads);
        const long at = share.begin * channels;
        k.gradient_apply(g + at, shifted(out, at), y + at, mean, scale, slope, constant, gy + at, shifted(masked, at),
                         share.end - share.begin, channels);
    });
}

void Tower::add(Tile tile, const float* weight, const float* bias, int in, int out, int residual, bool relu) {
    Layer layer{{rows_, cols_, in, out, tile}, {}, Floats(bias, bias + out), residual, relu};
    layer.filters.resize(kernels_.filter_size(layer.conv));
    kernels_.transform_filters(layer.conv, weight, layer.filters.data());
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

void Tower::run_slice(const float* x, float* y, int boards, float* memory) const {
    float *slots = memory, *work = memory + slots_ * slot_size_;
    for (const Layer& layer : layers_) {
        float* out = &layer == &layers_.back() ? y : slots + layer.slot * slot_size_;
        const float* residual = layer.residual < 0 ? nullptr : slots + layers_[layer.residual].slot * slot_size_;
        for (int b = 0; b < boards; b += block_) {
            const long at = b * layer.conv.points() * layer.conv.out;
            kernels_.convolve(layer.conv, x + b * layer.conv.points() * layer.conv.in, layer.filters.data(),
                              {layer.bias.data(), residual ? residual + at : nullptr, layer.relu}, out + at,
                              std::min(block_, boards - b), work);
        }
        x = out;
    }
}

void Tower::run(const float* x, float* y, int boards, int threads) {
    if (layers_.empty()) return;
    const Conv &first = layers_.front().conv, &last = layers_.back().conv;
    threads = std::max(1, std::min(threads, boards));
    parallel(threads, [&](int id) {
        float* memory = scratch(slots_ * slot_size_ + work_size_);
        const Share share(boards, id, threads);
        for (long b = share.begin; b < share.end; b += slice_)
            run_slice(x + b * first.points() * first.in, y + b * last.points() * last.out,
                      int(std::min<long>(slice_, share.end - b)), memory);
    });
}

}  // namespace nn
