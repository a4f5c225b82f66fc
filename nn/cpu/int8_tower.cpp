#include "int8_tower.hpp"

#include <algorithm>

#include "pool.hpp"
#include "slots.hpp"

namespace nn {

#ifdef HAVE_VNNI_KERNELS
extern const Int8Kernels vnni;

const Int8Kernels* int8_kernels() {
    __builtin_cpu_init();
    const bool supported = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return supported ? &vnni : nullptr;
}
#else
const Int8Kernels* int8_kernels() { return nullptr; }
#endif

void pack_int8_filters(const int8_t* weight, int in, int out, int8_t* filters) {
    const int outputs = int8_outputs(out), steps = (in + 3) / 4;
    for (int o = 0; o < outputs; o += 32) {
        const int width = std::min(32, outputs - o);
        for (int tap = 0; tap < 9; tap++)
            for (int k = 0; k < 4 * steps; k += 4)
                for (int j = 0; j < width; j++)
                    for (int i = 0; i < 4; i++) {
                        const bool inside = k + i < in && o + j < out;
                        *filters++ = inside ? weight[(long(tap) * in + k + i) * out + o + j] : 0;
                    }
    }
}

void Int8Tower::add(const int8_t* weight, const float* scale, const float* bias, float input_scale, int in,
                    int out, int residual, bool relu) {
    Layer layer{in, out, residual, relu, input_scale, std::vector<int8_t>(int8_filter_size(in, out)),
                {scale, scale + out}, {bias, bias + out}, std::vector<int32_t>(out)};
    pack_int8_filters(weight, in, out, layer.filters.data());
    for (long i = 0; i < 9l * in; i++)
        for (int o = 0; o < out; o++) layer.correction[o] += 128 * weight[i * out + o];
    if (residual == OUTSIDE) outside_size_ = long(rows_) * cols_ * out;
    layers_.push_back(std::move(layer));

    std::vector<int> residuals;
    for (const Layer& l : layers_) residuals.push_back(l.residual);
    const std::vector<int> slots = assign_slots(residuals);
    for (size_t l = 0; l < layers_.size(); l++) layers_[l].slot = slots[l];
    slots_ = 1 + *std::max_element(slots.begin(), slots.end());
    slot_size_ = std::max(slot_size_, (long(rows_) * cols_ * out + 15) / 16 * 16);
    image_floats_ = std::max(image_floats_, int8_image_size(rows_, cols_, in) / 4 + 16);
}

void Int8Tower::run_board(const float* x, const float* outside, float* y, float* memory) const {
    uint8_t* image = reinterpret_cast<uint8_t*>(memory + slots_ * slot_size_);
    const auto source = [&](int residual) -> const float* {
        if (residual < 0) return residual == OUTSIDE ? outside : nullptr;
        return memory + layers_[residual].slot * slot_size_;
    };
    for (const Layer& layer : layers_) {
        const Int8Conv conv{rows_, cols_, layer.in, layer.out, layer.relu, layer.input_scale, layer.filters.data(),
                            layer.scale.data(), layer.bias.data(), layer.correction.data()};
        float* out = &layer == &layers_.back() ? y : memory + layer.slot * slot_size_;
        const float check = kernels_.quantise(conv, x, image);
        kernels_.convolve(conv, image, check, source(layer.residual), out);
        x = out;
    }
}

void Int8Tower::run(const float* x, const float* outside, float* y, int boards, int threads) {
    if (layers_.empty()) return;
    const long points = long(rows_) * cols_;
    threads = std::max(1, std::min(threads, boards));
    parallel(threads, [&](int id) {
        float* memory = scratch(slots_ * slot_size_ + image_floats_);
        const Share share(boards, id, threads);
        for (long b = share.begin; b < share.end; b++)
            run_board(x + b * points * layers_.front().in, outside + b * outside_size_,
                      y + b * points * layers_.back().out, memory);
    });
}

}  // namespace nn
