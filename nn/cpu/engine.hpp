// The kernels applied to whole batches: choice of the instruction set, blocking for the cache, threads.
//
// Boards are divided among the threads and a thread works on a few of them at a time, so that their transformed tiles
// stay in its second-level cache. No result of a board depends on the other boards of the batch.
#pragma once

#include <memory>
#include <vector>

#include "kernels.hpp"

namespace nn {

using Floats = std::vector<float>;

void conv3x3(const Kernels&, const Conv&, const float* x, const float* weight, const float* bias, float* y, int boards,
             int threads);
void conv3x3_grad_weight(const Kernels&, const Conv&, const float* x, const float* g, float* gradient, int boards,
                         int threads);
void dense(const Kernels&, const float* x, const float* weight, const float* bias, bool relu, float* y, long rows, int in,
           int out, int threads);
// x [boards][points][channels] -> y [boards][2 channels], means first
void global_pool(const Kernels&, const float* x, float* y, int boards, long points, int channels, int threads);
void bn_act_forward(const Kernels&, const float* y, const float* gamma, const float* beta, const float* residual,
                    float eps, bool relu, float* out, float* mean, float* inv_std, long rows, int channels,
                    int threads);
// `out` null: no ReLU; `masked` null: the residual's gradient is not wanted
void bn_act_backward(const Kernels&, const float* g, const float* out, const float* y, const float* mean,
                     const float* inv_std, const float* gamma, float* gy, float* dgamma, float* dbeta, float* masked,
                     long rows, int channels, int threads);
// conv3x3 without bias, then bn_act; the convolution's output goes to `y`
void conv_bn_act_forward(const Kernels&, const Conv&, const float* x, const float* weight, const float* gamma,
                         const float* beta, const float* residual, float eps, bool relu, float* y, float* out,
                         float* mean, float* inv_std, int boards, int threads);
// `gx` null: the input's gradient is not wanted; `gw` [3][3][in][out]; otherwise as bn_act_backward
void conv_bn_act_backward(const Kernels&, const Conv&, const float* g, const float* out, const float* y,
                          const float* mean, const float* inv_std, const float* gamma, const float* x,
                          const float* weight, float* gx, float* gw, float* dgamma, float* dbeta, float* masked,
                          int boards, int threads);
// One pass over the parameters instead of numpy's five.
void sgd_update(float* p, const float* g, float* velocity, long size, float lr, float momentum, float weight_decay,
                bool nesterov);

// Inference of a stack of 3x3 convolutions; a thread takes a few boards at a time through all layers.
class Tower {
public:
    Tower(const Kernels& kernels, int rows, int cols) : kernels_(kernels), rows_(rows), cols_(cols) {}

    // `residual`: index of the earlier layer whose output is added before the ReLU, NO_RESIDUAL or OUTSIDE
    void add(Tile, const float* weight, const float* bias, int in, int out, int residual, bool relu);
    // `outside` is what layers add whose residual is OUTSIDE; null if there are none
    void run(const float* x, const float* outside, float* y, int boards, int threads);

private:
    struct Layer {
        Conv conv;
        Floats filters, bias;
        int residual;
        bool relu;
        int slot = 0;  // which activation buffer holds the output
    };

    void plan();
    void run_slice(const float* x, const float* outside, float* y, int boards, float* memory) const;

    const Kernels& kernels_;
    int rows_, cols_;
    std::vector<Layer> layers_;
    int slots_ = 0;              // activation buffers
    int block_ = 1, slice_ = 1;  // boards that go through a layer, and through the tower, together
    long slot_size_ = 0, work_size_ = 0, outside_size_ = 0;  // floats; the last of a board, 0 if none is read
};

}  // namespace nn
