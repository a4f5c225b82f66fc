// One source of nn/cuda for the CPU, as a C library for the tests: launchers with the grid that nn/cuda would choose.
#include SOURCE

#ifdef TOWER
extern "C" void run_tower(const float* x, int planes, const Fragment* filters, const float* bias, const Layer* layers,
                          int count, float* y, int channels, int boards) {
    simulator::launch({unsigned(boards + BOARDS - 1) / BOARDS, 1, 1}, THREADS,
                      [=] { tower(x, planes, filters, bias, layers, count, y, channels, boards); });
}
#endif
#ifdef CONV
extern "C" void run_conv3x3(const float* x, int inputs, const Fragment* filters, const float* bias, const float* residual,
                            int use_relu, float* y, int outputs, int boards) {
    simulator::launch({unsigned(boards + BOARDS - 1) / BOARDS, unsigned(outputs + CHANNELS - 1) / CHANNELS, 1}, THREADS,
                      [=] { conv3x3(x, inputs, filters, bias, residual, use_relu, y, outputs, boards); });
}
extern "C" void run_pack_filters(const float* w, int inputs, int outputs, int inputs16, int outputs16, uint32* filters) {
    simulator::launch({unsigned(9 * inputs16 * outputs16 * 128 + 255) / 256, 1, 1}, 256,
                      [=] { pack_filters(w, inputs, outputs, inputs16, outputs16, filters); });
}
#endif
#ifdef NORM
extern "C" void run_forward(const float* y, const float* gamma, const float* beta, const float* residual, float eps,
                            int use_relu, float* out, float* mean, float* inv_std, float* partial, int chunks,
                            long long rows, int channels) {
    const unsigned across = (channels + 31) / 32, wide = (channels + 255) / 256;
    simulator::launch({across, unsigned(chunks), 1}, 256, [=] { moments(y, rows, channels, partial); });
    simulator::launch({wide, 1, 1}, 256, [=] { statistics(partial, chunks, y, rows, channels, eps, mean, inv_std); });
    simulator::launch({unsigned(rows * channels + 255) / 256, 1, 1}, 256, [=] {
        normalise(y, mean, inv_std, gamma, beta, residual, use_relu, out, rows * channels, channels);
    });
}
extern "C" void run_backward(const float* g, const float* out, const float* y, const float* mean, const float* inv_std,
                             const float* gamma, float* gy, float* dgamma, float* dbeta, float* masked, float* partial,
                             int chunks, long long rows, int channels) {
    const unsigned across = (channels + 31) / 32, wide = (channels + 255) / 256;
    simulator::launch({across, unsigned(chunks), 1}, 256, [=] { gradient_sums(g, out, y, mean, rows, channels, partial); });
    simulator::launch({wide, 1, 1}, 256, [=] {
        gradient_statistics(partial, chunks, inv_std, channels, dgamma, dbeta);
    });
    simulator::launch({unsigned(rows * channels + 255) / 256, 1, 1}, 256, [=] {
        gradient_apply(g, out, y, mean, inv_std, gamma, dgamma, dbeta, gy, masked, rows * channels, channels);
    });
}
#endif
#ifdef OPTIMIZER
extern "C" void run_sgd(float* p, const float* g, float* velocity, float lr, float momentum, float decay, int nesterov,
                        long long size) {
    simulator::launch({unsigned(size + 255) / 256, 1, 1}, 256, [=] { sgd(p, g, velocity, lr, momentum, decay, nesterov, size); });
}
#endif
