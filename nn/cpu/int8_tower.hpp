// Inference of a stack of 3x3 convolutions in 8-bit integers; see Tower in engine.hpp.
#pragma once

#include <vector>

#include "int8.hpp"

namespace nn {

class Int8Tower {
public:
    Int8Tower(const Int8Kernels& kernels, int rows, int cols) : kernels_(kernels), rows_(rows), cols_(cols) {}

    // weight [3][3][in][out] and its scale [out], bias [out]; one scale for the layer's input
    void add(const int8_t* weight, const float* scale, const float* bias, float input_scale, int in, int out, int residual,
             bool relu);
    void run(const float* x, const float* outside, float* y, int boards, int threads);

private:
    struct Layer {
        int in, out, residual;
        bool relu;
        float input_scale;
        std::vector<int8_t> filters;
        std::vector<float> scale, bias;
        std::vector<int32_t> correction;
        int slot = 0;
    };

    void run_board(const float* x, const float* outside, float* y, float* memory) const;

    const Int8Kernels& kernels_;
    int rows_, cols_;
    std::vector<Layer> layers_;
    long slot_size_ = 0, image_floats_ = 0, outside_size_ = 0;
    int slots_ = 0;
};

}  // namespace nn
