// Inference of a whole tower in one launch: a block keeps its boards in shared memory through all layers.
//
// Only filters are read on the way, through the L2 cache; no activation leaves the multiprocessor. Compile-time settings:
// see boards.cuh, WIDTH = CHANNELS or the planes if they are more, and SLOTS image lists.
#include "boards.cuh"

struct Layer {
    int filters, bias;            // where this layer's begin, in fragments and floats
    int channels;                 // inputs, padded to 16
    int input, output, residual;  // slots; residual -1 for none
    int relu;
};

extern "C" __global__ void __launch_bounds__(THREADS)
tower(const float* x, int planes, const Fragment* filters, const float* bias, const Layer* layers, int count, float* y,
      int channels, int boards) {
    SHARED_BUFFER(memory);
    bf16* slots = (bf16*)memory;
    const long long first = (long long)blockIdx.x * BOARDS;
    const int present = boards - first < BOARDS ? (int)(boards - first) : BOARDS;
    for (int i = threadIdx.x; i < SLOTS * PITCH; i += THREADS) slots[i / PITCH * LIST + M * PITCH + i % PITCH] = 0;
    load_images(slots + layers[0].input * LIST, x + first * AREA * planes, present, planes,
                [](float v) { return narrow(v); });
    __syncthreads();
    for (int l = 0; l < count; l++) {
        const Layer layer = layers[l];
        const bf16* residual = layer.residual < 0 ? nullptr : slots + layer.residual * LIST;
        bf16* output = slots + layer.output * LIST;
        for (int pass = 0; pass < PASSES; pass++) {
            Sums sums;
            convolve(sums, slots + layer.input * LIST, layer.channels, filters + layer.filters, CHANNELS / 16 * 32, pass);
            each_pair(sums, pass, [&](int position, int o, float a, float b) {
                a += bias[layer.bias + o], b += bias[layer.bias + o + 1];
                if (residual) a += widen(residual[position * PITCH + o]), b += widen(residual[position * PITCH + o + 1]);
                if (layer.relu) a = relu(a), b = relu(b);
                if (l + 1 < count) {
                    *(uint32*)(output + position * PITCH + o) = narrow_pair(a, b);
                } else if (position < present * AREA) {
                    float* to = y + (first * AREA + position) * channels + o;
                    if (o < channels) to[0] = a;
                    if (o + 1 < channels) to[1] = b;
                }
            });
        }
        __syncthreads();
    }
}
