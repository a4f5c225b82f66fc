// One 3x3 convolution with bias, residual and ReLU: an implicit matrix product whose tile is whole boards.
//
// Block (i, j) makes outputs [CHANNELS j, CHANNELS (j + 1)) of boards [BOARDS i, BOARDS (i + 1)). Operands are rounded
// to bfloat16, sums are float32. Compile-time settings: see boards.cuh; WIDTH = inputs padded to 16.
#include "boards.cuh"

// x [boards][AREA][inputs], residual and y [boards][AREA][outputs] float32; bias, residual may be null;
// filters as in boards.cuh for outputs padded to CHANNELS * gridDim.y
extern "C" __global__ void __launch_bounds__(THREADS)
conv3x3(const float* x, int inputs, const Fragment* filters, const float* bias, const float* residual, int use_relu,
        float* y, int outputs, int boards) {
    SHARED_BUFFER(memory);
    bf16* images = (bf16*)memory;
    const long long first = (long long)blockIdx.x * BOARDS;
    const int present = boards - first < BOARDS ? (int)(boards - first) : BOARDS;
    const int begin = blockIdx.y * CHANNELS, fragments = gridDim.y * (CHANNELS / 16) * 32;
    load_images(images, x + first * AREA * inputs, present, inputs, [](float v) { return narrow(v); });
    __syncthreads();
    for (int pass = 0; pass < PASSES; pass++) {
        Sums sums;
        convolve(sums, images, WIDTH, filters + begin / 16 * 32, fragments, pass);
        each_pair(sums, pass, [&](int position, int o, float a, float b) {
            if (position >= present * AREA) return;
            const long long at = (first * AREA + position) * outputs + begin + o;
            const float v[2] = {a, b};
            for (int i = 0; i < 2 && begin + o + i < outputs; i++) {
                float s = v[i];
                if (bias) s += bias[begin + o + i];
                if (residual) s += residual[at + i];
                y[at + i] = use_relu ? relu(s) : s;
            }
        });
    }
}

// weight [3][3][inputs][outputs] -> filters in the order of boards.cuh, one thread per register
extern "C" __global__ void pack_filters(const float* weight, int inputs, int outputs, int inputs16, int outputs16,
                                        uint32* filters) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= 9 * inputs16 * outputs16 * 128) return;
    const int r = i % 4, lane = i / 4 % 32, block = i / 128, n16 = block % outputs16, k16 = block / outputs16 % inputs16;
    const int tap = block / outputs16 / inputs16;
    const int o = n16 * 16 + r / 2 * 8 + lane / 4, k = k16 * 16 + r % 2 * 8 + lane % 4 * 2;
    float v[2] = {0, 0};
    for (int j = 0; j < 2; j++)
        if (k + j < inputs && o < outputs) v[j] = weight[((long long)tap * inputs + k + j) * outputs + o];
    filters[i] = narrow_pair(v[0], v[1]);
}
