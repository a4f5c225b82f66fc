// Batch normalisation fused with residual and ReLU, forward and backward, over [rows][channels].
#pragma once

constexpr long SUM_ROWS = 64;  // summed in float registers, then added to a double: short chains keep the error small

// sum += terms of f(row, channel, channels) -> two vectors, over all rows
template <class F> INLINE void column_sums(long rows, int channels, double* first, double* second, F f) {
    for (long begin = 0; begin < rows; begin += SUM_ROWS) {
        const long end = begin + SUM_ROWS < rows ? begin + SUM_ROWS : rows;
        each_vector(channels, [&](int c, auto part) {
            Vec a = {}, b = {};
            for (long r = begin; r < end; r++) f(r * channels + c, c, part, a, b);
            for (int i = 0; i < L && c + i < channels; i++) first[c + i] += a[i], second[c + i] += b[i];
        });
    }
}

inline void moments(const float* y, const float* shift, long rows, int channels, double* sum, double* square) {
    column_sums(rows, channels, sum, square, [&](long at, int c, auto part, Vec& a, Vec& b) {
        const Vec v = part.load(y + at) - part.load(shift + c);
        a += v;
        b += v * v;
    });
}

inline void normalise(const float* y, const float* mean, const float* scale, const float* beta, Epilogue e, float* out,
                      long rows, int channels) {
    for (long r = 0; r < rows; r++)
        each_vector(channels, [&](int c, auto part) {
            const long at = r * channels + c;
            Vec v = (part.load(y + at) - part.load(mean + c)) * part.load(scale + c) + part.load(beta + c);
            if (e.residual) v += part.load(e.residual + at);
            part.store(out + at, e.relu ? relu(v) : v);
        });
}

template <class P> INLINE Vec masked_gradient(const float* g, const float* out, long at, P part) {
    const Vec v = part.load(g + at), zero = {};
    return out ? (part.load(out + at) > zero ? v : zero) : v;
}

inline void gradient_sums(const float* g, const float* out, const float* y, const float* mean, long rows, int channels,
                          double* sum, double* product) {
    column_sums(rows, channels, sum, product, [&](long at, int c, auto part, Vec& a, Vec& b) {
        const Vec v = masked_gradient(g, out, at, part);
        a += v;
        b += v * (part.load(y + at) - part.load(mean + c));
    });
}

inline void gradient_apply(const float* g, const float* out, const float* y, const float* mean, const float* scale,
                           const float* slope, const float* constant, float* gy, float* masked, long rows,
                           int channels) {
    for (long r = 0; r < rows; r++)
        each_vector(channels, [&](int c, auto part) {
            const long at = r * channels + c;
            const Vec v = masked_gradient(g, out, at, part);
            if (masked) part.store(masked + at, v);
            const Vec centred = part.load(y + at) - part.load(mean + c);
            part.store(gy + at, v * part.load(scale + c) + (centred * part.load(slope + c) + part.load(constant + c)));
        });
}
