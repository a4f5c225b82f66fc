// The AMX kernels applied to whole batches: bfloat16 operands, float32 sums, in and out float32.
#pragma once

#include <vector>

#include "amx.hpp"

namespace nn {

void amx_conv3x3(const AmxKernels&, int rows, int cols, const float* x, const float* weight, const float* bias, float* y,
                 int in, int out, int boards, int threads);
void amx_grad_weight(const AmxKernels&, int rows, int cols, const float* x, const float* g, float* gradient, int in,
                     int out, int boards, int threads);

// Inference of a stack of 3x3 convolutions; see Tower in engine.hpp.
class AmxTower {
public:
    AmxTower(const AmxKernels& kernels, int rows, int cols) : kernels_(kernels), shape_{rows, cols} {}

    void add(const float* weight, const float* bias, int in, int out, int residual, bool relu);
    void run(const float* x, const float* outside, float* y, int boards, int threads);

private:
    struct Layer {
        int in, out, residual;
        bool relu;
        std::vector<Bf16> filters;
        std::vector<float> bias;  // padded
        int slot = 0;
    };

    int lists() const { return slots_ + 1 + (outside_channels_ > 0); }
    void plan();
    void run_slice(const float* x, const float* outside, float* y, int boards, Bf16* memory) const;

    const AmxKernels& kernels_;
    FlatBoards shape_;
    std::vector<Layer> layers_;
    std::vector<int32_t> dense_row_;
    int slots_ = 0, slice_ = 1;
    int outside_channels_ = 0;  // of what layers add from outside, 0 if none does
    long slot_size_ = 0;        // values; the slot after the last holds the input, the next one what comes from outside
};

}  // namespace nn
