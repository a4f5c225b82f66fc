// One fused update over the flat array of all parameters.
#include "device.cuh"

// g += decay p; v = momentum v + g; p -= lr v, with Nesterov p -= lr (g + momentum v): see nn.optim.SGD
extern "C" __global__ void sgd(float* p, const float* gradient, float* velocity, float lr, float momentum, float decay,
                               int nesterov, long long size) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= size) return;
    const float g = gradient[i] + decay * p[i], v = momentum * velocity[i] + g;
    velocity[i] = v;
    p[i] -= lr * (nesterov ? g + momentum * v : v);
}
