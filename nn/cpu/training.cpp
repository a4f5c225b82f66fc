// What only training needs: gradients, and normalisation with the statistics of the batch.
//
// A step on a small network is over in milliseconds, so what counts is how often the threads meet and how often an
// activation travels through memory. A convolution with its batch normalisation meets twice each way: forward, each
// thread sums up what it has just convolved; backward, it takes the gradient of the normalisation through both gradients
// of the convolution a block of boards at a time, in its cache.
#include "engine.hpp"

#include <cmath>

#include "blocks.hpp"

namespace nn {
namespace {

constexpr long GRAIN = 1 << 15;  // floats of a pass over memory that are worth waking a thread for

template <class T> T* moved(T* p, long by) { return p ? p + by : nullptr; }

// Rows of [channels], in units (rows or boards) that are divided among threads; two sums for each thread and channel.
struct Sums {
    long units, unit_rows;
    int channels, threads;
    std::vector<double> values = std::vector<double>(2l * channels * threads);

    double* of(int thread) { return values.data() + 2l * channels * thread; }
    long first_row(int thread) const { return Share(units, thread, threads).begin * unit_rows; }
    long rows() const { return units * unit_rows; }
};

// Mean and deviation from sums of each thread, shifted by its first row so that nothing cancels; the threads' moments are
// joined as Chan, Golub & LeVeque 1979 do (equation 2.1).
void finish_moments(Sums& sums, const float* y, float eps, float* mean, float* inv_std) {
    const int channels = sums.channels;
    for (int c = 0; c < channels; c++) {
        double centre = 0, squares = 0, count = 0;
        for (int t = 0; t < sums.threads; t++) {
            const double n = double(sums.first_row(t + 1) - sums.first_row(t)), total = count + n;
            const double sum = sums.of(t)[c], square = sums.of(t)[channels + c];
            const double difference = y[sums.first_row(t) * channels + c] + sum / n - centre;
            squares += square - sum * sum / n + difference * difference * count * n / total;
            centre += difference * n / total;
            count = total;
        }
        mean[c] = float(centre);
        inv_std[c] = float(1 / std::sqrt((squares < 0 ? 0 : squares) / count + eps));
    }
}

void normalise(const Kernels& k, const float* y, const float* mean, const float* inv_std, const float* gamma,
               const float* beta, const float* residual, bool relu, float* out, long rows, int channels, int threads) {
    Floats scale(channels);
    for (int c = 0; c < channels; c++) scale[c] = inv_std[c] * gamma[c];
    parallel(threads, [&](int id) {
        const Share share(rows, id, threads);
        const long at = share.begin * channels;
        k.normalise(y + at, mean, scale.data(), beta, {nullptr, moved(residual, at), relu}, out + at,
                    share.end - share.begin, channels);
    });
}

// The gradient in the normalisation's input as scale g + slope (y - mean) + constant, for each channel
struct Slopes {
    Floats scale, slope, constant;
};

Slopes normalisation_slopes(const Kernels& k, const float* g, const float* out, const float* y, const float* mean,
                            const float* inv_std, const float* gamma, float* dgamma, float* dbeta, long rows,
                            int channels, int threads) {
    Sums sums{rows, 1, channels, threads};
    parallel(threads, [&](int id) {
        const long at = sums.first_row(id) * channels;
        k.gradient_sums(g + at, moved(out, at), y + at, mean, sums.first_row(id + 1) - sums.first_row(id), channels,
                        sums.of(id), sums.of(id) + channels);
    });
    Slopes s{Floats(channels), Floats(channels), Floats(channels)};
    for (int c = 0; c < channels; c++) {
        double sum = 0, product = 0;
        for (int t = 0; t < threads; t++) sum += sums.of(t)[c], product += sums.of(t)[channels + c];
        dbeta[c] = float(sum);
        dgamma[c] = float(product * inv_std[c]);
        const double factor = double(gamma[c]) * inv_std[c];
        s.scale[c] = float(factor);
        s.slope[c] = float(-factor * inv_std[c] * inv_std[c] * product / rows);
        s.constant[c] = float(-factor * sum / rows);
    }
    return s;
}

// weight [3][3][in][out] turned round, with inputs and outputs exchanged: the filter of the input's gradient
Floats turned(const float* weight, int in, int out) {
    Floats result(9l * in * out);
    for (int tap = 0; tap < 9; tap++)
        for (int i = 0; i < in; i++)
            for (int o = 0; o < out; o++)
                result[(long(8 - tap) * out + o) * in + i] = weight[(long(tap) * in + i) * out + o];
    return result;
}

// A filter's gradient in transformed space, summed by each thread for itself, then joined in the order of the threads.
class WeightGradient {
public:
    WeightGradient(const Kernels& k, const Conv& c, int threads)
        : k_(k), c_(c), size_(k.filter_size(c)), threads_(threads), parts_(new float[size_ * threads]) {}

    void clear(int thread) { std::fill_n(parts_.get() + thread * size_, size_, 0.f); }
    void add(int thread, const float* x, const float* g, int boards, float* memory) {
        k_.weight_gradient(c_, x, g, parts_.get() + thread * size_, boards, memory);
    }
    void finish(float* gradient) {
        float* sum = parts_.get();
        for (int t = 1; t < threads_; t++)
            for (long i = 0; i < size_; i++) sum[i] += sum[t * size_ + i];
        k_.restore_gradient(c_, sum, gradient);
    }

private:
    const Kernels& k_;
    Conv c_;
    long size_;
    int threads_;
    std::unique_ptr<float[]> parts_;
};

}  // namespace

void conv3x3_grad_weight(const Kernels& k, const Conv& c, const float* x, const float* g, float* gradient, int boards,
                         int threads) {
    threads = useful_threads(boards, threads);
    const int block = gradient_block_boards(k, c);
    WeightGradient sum(k, c, threads);
    for (int t = 0; t < threads; t++) sum.clear(t);
    each_block(boards, block, threads, k.scratch_size(c, block), [&](int id, long b, int n, float* memory) {
        sum.add(id, x + b * c.points() * c.in, g + b * c.points() * c.out, n, memory);
    });
    sum.finish(gradient);
}

void bn_act_forward(const Kernels& k, const float* y, const float* gamma, const float* beta, const float* residual,
                    float eps, bool relu, float* out, float* mean, float* inv_std, long rows, int channels,
                    int threads) {
    threads = useful_threads(std::min(rows, rows * channels / GRAIN), threads);
    Sums sums{rows, 1, channels, threads};
    parallel(threads, [&](int id) {
        const float* first = y + sums.first_row(id) * channels;
        k.moments(first, first, sums.first_row(id + 1) - sums.first_row(id), channels, sums.of(id),
                  sums.of(id) + channels);
    });
    finish_moments(sums, y, eps, mean, inv_std);
    normalise(k, y, mean, inv_std, gamma, beta, residual, relu, out, rows, channels, threads);
}

void bn_act_backward(const Kernels& k, const float* g, const float* out, const float* y, const float* mean,
                     const float* inv_std, const float* gamma, float* gy, float* dgamma, float* dbeta, float* masked,
                     long rows, int channels, int threads) {
    threads = useful_threads(std::min(rows, rows * channels / GRAIN), threads);
    const Slopes s = normalisation_slopes(k, g, out, y, mean, inv_std, gamma, dgamma, dbeta, rows, channels, threads);
    parallel(threads, [&](int id) {
        const Share share(rows, id, threads);
        const long at = share.begin * channels;
        k.gradient_apply(g + at, moved(out, at), y + at, mean, s.scale.data(), s.slope.data(), s.constant.data(), gy + at,
                         moved(masked, at), share.end - share.begin, channels);
    });
}

void conv_bn_act_forward(const Kernels& k, const Conv& c, const float* x, const float* weight, const float* gamma,
                         const float* beta, const float* residual, float eps, bool relu, float* y, float* out,
                         float* mean, float* inv_std, int boards, int threads) {
    threads = useful_threads(boards, threads);
    Floats filters(k.filter_size(c));
    k.transform_filters(c, weight, filters.data());
    const int block = block_boards(k, c);
    const long points = c.points();
    Sums sums{boards, points, c.out, threads};
    each_block(boards, block, threads, k.scratch_size(c, block), [&](int id, long b, int n, float* memory) {
        float* to = y + b * points * c.out;
        k.convolve(c, x + b * points * c.in, filters.data(), {nullptr, nullptr, false}, to, n, memory);
        k.moments(to, y + sums.first_row(id) * c.out, n * points, c.out, sums.of(id), sums.of(id) + c.out);
    });
    finish_moments(sums, y, eps, mean, inv_std);
    normalise(k, y, mean, inv_std, gamma, beta, residual, relu, out, boards * points, c.out, threads);
}

void conv_bn_act_backward(const Kernels& k, const Conv& c, const float* g, const float* out, const float* y,
                          const float* mean, const float* inv_std, const float* gamma, const float* x,
                          const float* weight, float* gx, float* gw, float* dgamma, float* dbeta, float* masked,
                          int boards, int threads) {
    threads = useful_threads(boards, threads);
    const long points = c.points(), wide = points * c.out;
    const Slopes s = normalisation_slopes(k, g, out, y, mean, inv_std, gamma, dgamma, dbeta, boards * points, c.out,
                                          threads);
    const Conv back{c.rows, c.cols, c.out, c.in, c.tile};
    Floats filters(k.filter_size(back));
    if (gx) k.transform_filters(back, turned(weight, c.in, c.out).data(), filters.data());
    const int block = gradient_block_boards(k, c), small = block_boards(k, back);
    const long work = std::max(k.scratch_size(c, block), k.scratch_size(back, small));
    WeightGradient sum(k, c, threads);
    parallel(threads, [&](int id) {
        float *memory = scratch(work + block * wide), *gy = memory + work;
        const Share share(boards, id, threads);
        sum.clear(id);
        for (long b = share.begin; b < share.end; b += block) {
            const int n = int(std::min<long>(block, share.end - b));
            const long at = b * wide;
            k.gradient_apply(g + at, moved(out, at), y + at, mean, s.scale.data(), s.slope.data(), s.constant.data(), gy,
                             moved(masked, at), n * points, c.out);
            for (int i = 0; gx && i < n; i += small)
                k.convolve(back, gy + i * wide, filters.data(), {nullptr, nullptr, false},
                           gx + (b + i) * points * c.in, std::min(small, n - i), memory);
            sum.add(id, x + b * points * c.in, gy, n, memory);
        }
    });
    sum.finish(gw);
}

void sgd_update(float* p, const float* g, float* velocity, long size, float lr, float momentum, float weight_decay,
                bool nesterov) {
    for (long i = 0; i < size; i++) {
        const float slope = g[i] + weight_decay * p[i];
        velocity[i] = momentum * velocity[i] + slope;
        p[i] -= lr * (nesterov ? slope + momentum * velocity[i] : velocity[i]);
    }
}

}  // namespace nn
