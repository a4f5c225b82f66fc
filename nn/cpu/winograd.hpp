// 3x3 convolution, stride 1, same padding, by Winograd's F(MY x MX, 3 x 3) on dense NHWC boards of any size.
//
// Transformed arrays are [tile position][tile][channels], channels padded to whole vectors. Filters are
// [tile position][panel of two vectors of outputs][in][outputs of the panel].
#pragma once

template <int MY, int MX> struct Winograd {
    static constexpr int TY = MY + 2, TX = MX + 2, Q = TY * TX;
    static constexpr ToomCook<MY> vertical{};
    static constexpr ToomCook<MX> horizontal{};

    static int padded(int channels) { return (channels + L - 1) / L * L; }

    template <class F> static INLINE void each_tile(const Conv& s, int boards, F f) {
        for (int n = 0; n < boards; n++)
            for (int y = 0; y < s.rows; y += MY)
                for (int x = 0; x < s.cols; x += MX) f(n, y, x);
    }

    // x [boards][rows][cols][C] -> v. Points outside the board are read from `zeros` [C].
    static void transform_input(const Conv& s, const float* x, int C, int boards, float* v, long plane,
                                const float* zeros) {
        each_tile(s, boards, [&](int n, int y0, int x0) {
            const float* board = x + n * s.points() * C;
            const float* at[Q];
            for (int i = 0; i < TY; i++)
                for (int j = 0; j < TX; j++) {
                    const int y = y0 + i - 1, col = x0 + j - 1;
                    const bool inside = y >= 0 && y < s.rows && col >= 0 && col < s.cols;
                    at[i * TX + j] = inside ? board + (long(y) * s.cols + col) * C : zeros;
                }
            each_vector(C, [&](int c, auto channels) {
                Vec d[Q], o[Q];
#pragma GCC unroll 64
                for (int q = 0; q < Q; q++) d[q] = channels.load(at[q] + c);
                sandwich(vertical.BT, horizontal.BT, d, o);
#pragma GCC unroll 64
                for (int q = 0; q < Q; q++) store(v + q * plane + c, o[q]);
            });
            v += padded(C);
        });
    }

    // m -> y [boards][rows][cols][C]
    static void transform_output(const Conv& s, const float* m, int boards, long plane, Epilogue e, float* y) {
        const int C = s.out;
        each_tile(s, boards, [&](int n, int y0, int x0) {
            const int rows = s.rows - y0, cols = s.cols - x0;
            const long corner = (n * s.points() + long(y0) * s.cols + x0) * C;
            each_vector(C, [&](int c, auto channels) {
                Vec d[Q], o[MY * MX];
#pragma GCC unroll 64
                for (int q = 0; q < Q; q++) d[q] = load(m + q * plane + c);
                sandwich(vertical.AT, horizontal.AT, d, o);
                Vec bias = {};
                if (e.bias) bias = channels.load(e.bias + c);
#pragma GCC unroll 4
                for (int i = 0; i < MY; i++)
#pragma GCC unroll 4
                    for (int j = 0; j < MX; j++) {
                        if (i >= rows || j >= cols) continue;
                        const long at = corner + (long(i) * s.cols + j) * C + c;
                        Vec v = o[i * MX + j] + bias;
                        if (e.residual) v += channels.load(e.residual + at);
                        channels.store(y + at, e.relu ? relu(v) : v);
                    }
            });
            m += padded(C);
        });
    }

    // The transpose of transform_output: g [boards][rows][cols][out] -> d
    static void transform_gradient(const Conv& s, const float* g, int boards, float* d, long plane,
                                   const float* zeros) {
        const int C = s.out;
        each_tile(s, boards, [&](int n, int y0, int x0) {
            const float* at[MY * MX];
            for (int i = 0; i < MY; i++)
                for (int j = 0; j < MX; j++) {
                    const bool inside = y0 + i < s.rows && x0 + j < s.cols;
                    at[i * MX + j] = inside ? g + (n * s.points() + long(y0 + i) * s.cols + x0 + j) * C : zeros;
                }
            each_vector(C, [&](int c, auto channels) {
                Vec v[MY * MX], o[Q];
#pragma GCC unroll 16
                for (int q = 0; q < MY * MX; q++) v[q] = channels.load(at[q] + c);
                sandwich(vertical.A, horizontal.A, v, o);
#pragma GCC unroll 64
                for (int q = 0; q < Q; q++) store(d + q * plane + c, o[q]);
            });
            d += padded(C);
        });
    }

    static void convolve(const Conv& s, const float* x, const float* filters, Epilogue e, float* y, int boards,
                         float* scratch) {
        const int in = padded(s.in), out = padded(s.out), tiles = s.tiles() * boards;
        const long in_plane = long(tiles) * in + 16, out_plane = long(tiles) * out + 16;
        float *v = scratch, *m = v + Q * in_plane, *zeros = m + Q * out_plane;
        for (int c = 0; c < in; c++) zeros[c] = 0;
        transform_input(s, x, s.in, boards, v, in_plane, zeros);
        for (int q = 0; q < Q; q++) {
            const float *a = v + q * in_plane, *u = filters + long(q) * s.in * out;
            float* result = m + q * out_plane;
            column_panels(out, [&](int column, auto vectors) {
                constexpr int V = decltype(vectors)::value;
                row_blocks(tiles, [&](long row, auto height) {
                    product<decltype(height)::value, V>(a + row * in, in, u + long(column) * s.in, s.in,
                                                        result + row * out + column, out);
                });
            });
        }
        transform_output(s, m, boards, out_plane, e, y);
    }

    static void weight_gradient(const Conv& s, const float* x, const float* g, float* gradient, int boards,
                                float* scratch) {
        const int in = padded(s.in), out = padded(s.out), tiles = s.tiles() * boards;
        const long in_plane = long(tiles) * in + 16, out_plane = long(tiles) * out + 16;
        float *v = scratch, *d = v + Q * in_plane, *zeros = d + Q * out_plane;
        for (int c = 0; c < in || c < out; c++) zeros[c] = 0;
        transform_input(s, x, s.in, boards, v, in_plane, zeros);
        transform_gradient(s, g, boards, d, out_plane, zeros);
        for (int q = 0; q < Q; q++) {
            const float *a = v + q * in_plane, *b = d + q * out_plane;
            float* sum = gradient + long(q) * s.in * out;
            column_panels(out, [&](int column, auto vectors) {
                constexpr int V = decltype(vectors)::value;
                row_blocks(s.in, [&](long row, auto height) {
                    transposed_product<decltype(height)::value, V>(a + row, in, b + column, out, tiles,
                                                                   sum + row * out + column, out);
                });
            });
        }
    }

    // weight [3][3][in][out] -> filters, G w G^T
    static void transform_filters(const Conv& s, const float* weight, float* filters) {
        const int out = padded(s.out);
        const long tap = long(s.in) * s.out;
        for (int i = 0; i < s.in; i++)
            each_vector(s.out, [&](int c, auto channels) {
                Vec w[9], o[Q];
#pragma GCC unroll 16
                for (int k = 0; k < 9; k++) w[k] = channels.load(weight + k * tap + long(i) * s.out + c);
                sandwich(vertical.G, horizontal.G, w, o);
                const int panel = c / (2 * L) * (2 * L), width = out - panel < 2 * L ? L : 2 * L;
                float* to = filters + long(panel) * s.in + long(i) * width + (c - panel);
#pragma GCC unroll 64
                for (int q = 0; q < Q; q++) store(to + long(q) * s.in * out, o[q]);
            });
    }

    // The transpose of transform_filters; `gradient` is [tile position][in][out padded].
    static void restore_gradient(const Conv& s, const float* gradient, float* weight_gradient) {
        const int out = padded(s.out);
        const long tap = long(s.in) * s.out;
        for (int i = 0; i < s.in; i++)
            each_vector(s.out, [&](int c, auto channels) {
                Vec d[Q], o[9];
#pragma GCC unroll 64
                for (int q = 0; q < Q; q++) d[q] = load(gradient + (long(q) * s.in + i) * out + c);
                sandwich(vertical.GT, horizontal.GT, d, o);
#pragma GCC unroll 16
                for (int k = 0; k < 9; k++) channels.store(weight_gradient + k * tap + long(i) * s.out + c, o[k]);
            });
    }
};
