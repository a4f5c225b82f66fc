// The AMX kernels with emulated tile instructions, as a C library for the tests.
#include "amx.cpp"
#include "amx_engine.cpp"
#include "pool.cpp"

extern "C" void amx_conv(const float* x, const float* w, const float* bias, float* y, int n, int rows, int cols, int in,
                         int out, int threads) {
    nn::amx_conv3x3(nn::amx, rows, cols, x, w, bias, y, in, out, n, threads);
}
extern "C" void amx_grad(const float* x, const float* g, float* gradient, int n, int rows, int cols, int in, int out,
                         int threads) {
    nn::amx_grad_weight(nn::amx, rows, cols, x, g, gradient, in, out, n, threads);
}
extern "C" void* amx_tower(int rows, int cols) { return new nn::AmxTower(nn::amx, rows, cols); }
extern "C" void amx_add(void* tower, const float* w, const float* bias, int in, int out, int residual, int relu) {
    static_cast<nn::AmxTower*>(tower)->add(w, bias, in, out, residual, relu);
}
extern "C" void amx_run(void* tower, const float* x, const float* outside, float* y, int n, int threads) {
    static_cast<nn::AmxTower*>(tower)->run(x, outside, y, n, threads);
}
extern "C" void amx_delete(void* tower) { delete static_cast<nn::AmxTower*>(tower); }
