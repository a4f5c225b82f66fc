// Batch normalisation fused with residual and ReLU, forward and backward, over [rows][channels] float32.
//
// Sums over rows: each block adds its rows in a fixed order and writes one partial sum, a second kernel adds those. No
// atomics, so results repeat bit for bit. A block is 32 channels x 8 rows; grid (channels / 32, CHUNKS of rows).
#include "device.cuh"

const int LANES = 32, ROW_THREADS = 8;

struct Range { long long begin, end; };
__device__ inline Range rows_of_block(long long rows) {
    return {rows * blockIdx.y / gridDim.y, rows * (blockIdx.y + 1) / gridDim.y};
}

// Adds the block's ROW_THREADS pairs of a channel and writes them to partial [gridDim.y][2][channels].
__device__ inline void write_partial(float a, float b, float* partial, int c, int channels) {
    SHARED_BUFFER(memory);
    float* sums = (float*)memory;
    const int lane = threadIdx.x % LANES, row = threadIdx.x / LANES;
    sums[threadIdx.x] = a, sums[LANES * ROW_THREADS + threadIdx.x] = b;
    __syncthreads();
    if (row || c >= channels) return;
    for (int r = 1; r < ROW_THREADS; r++) a += sums[r * LANES + lane], b += sums[LANES * (ROW_THREADS + r) + lane];
    partial[(long long)blockIdx.y * 2 * channels + c] = a;
    partial[((long long)blockIdx.y * 2 + 1) * channels + c] = b;
}

// Sums of y - y[0] and of its square: shifted, so that a large mean does not cancel.
extern "C" __global__ void moments(const float* y, long long rows, int channels, float* partial) {
    const int c = blockIdx.x * LANES + threadIdx.x % LANES;
    float a = 0, b = 0;
    if (c < channels) {
        const Range range = rows_of_block(rows);
        for (long long r = range.begin + threadIdx.x / LANES; r < range.end; r += ROW_THREADS) {
            const float v = y[r * channels + c] - y[c];
            a += v, b += v * v;
        }
    }
    write_partial(a, b, partial, c, channels);
}

extern "C" __global__ void statistics(const float* partial, int chunks, const float* y, long long rows, int channels,
                                      float eps, float* mean, float* inv_std) {
    const int c = blockIdx.x * 256 + threadIdx.x;
    if (c >= channels) return;
    double a = 0, b = 0;
    for (int i = 0; i < chunks; i++) a += partial[2 * i * channels + c], b += partial[(2 * i + 1) * channels + c];
    const double shifted = a / rows, variance = b / rows - shifted * shifted;
    mean[c] = (float)(y[c] + shifted);
    inv_std[c] = (float)(1 / sqrt((variance < 0 ? 0 : variance) + eps));
}

extern "C" __global__ void normalise(const float* y, const float* mean, const float* inv_std, const float* gamma,
                                     const float* beta, const float* residual, int use_relu, float* out, long long size,
                                     int channels) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= size) return;
    const int c = (int)(i % channels);
    float v = (y[i] - mean[c]) * (inv_std[c] * gamma[c]) + beta[c];
    if (residual) v += residual[i];
    out[i] = use_relu ? relu(v) : v;
}

// Sums of g and of g (y - mean), g counted only where out > 0 if out is given.
extern "C" __global__ void gradient_sums(const float* g, const float* out, const float* y, const float* mean,
                                         long long rows, int channels, float* partial) {
    const int c = blockIdx.x * LANES + threadIdx.x % LANES;
    float a = 0, b = 0;
    if (c < channels) {
        const Range range = rows_of_block(rows);
        for (long long r = range.begin + threadIdx.x / LANES; r < range.end; r += ROW_THREADS) {
            const long long i = r * channels + c;
            const float v = !out || out[i] > 0 ? g[i] : 0;
            a += v, b += v * (y[i] - mean[c]);
        }
    }
    write_partial(a, b, partial, c, channels);
}

extern "C" __global__ void gradient_statistics(const float* partial, int chunks, const float* inv_std, int channels,
                                               float* dgamma, float* dbeta) {
    const int c = blockIdx.x * 256 + threadIdx.x;
    if (c >= channels) return;
    double a = 0, b = 0;
    for (int i = 0; i < chunks; i++) a += partial[2 * i * channels + c], b += partial[(2 * i + 1) * channels + c];
    dbeta[c] = (float)a;
    dgamma[c] = (float)(b * inv_std[c]);
}

// masked: the gradient of the residual, or null
extern "C" __global__ void gradient_apply(const float* g, const float* out, const float* y, const float* mean,
                                          const float* inv_std, const float* gamma, const float* dgamma,
                                          const float* dbeta, float* gy, float* masked, long long size, int channels) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= size) return;
    const int c = (int)(i % channels);
    const float rows = (float)(size / channels), v = !out || out[i] > 0 ? g[i] : 0;
    const float normalised = (y[i] - mean[c]) * inv_std[c];
    if (masked) masked[i] = v;
    gy[i] = gamma[c] * inv_std[c] * (v - (dbeta[c] + normalised * dgamma[c]) / rows);
}
