// Small matrix products whose result block stays in registers.
//
// Every element of a result is one chain of fused multiply-adds in the order of k, whatever the block it falls into:
// so a row's result does not depend on the rows around it, bit for bit.
#pragma once

constexpr int BLOCK_ROWS = LANES == 16 ? 12 : 6;  // x 2 vectors: 24 of 32 registers, or 12 of 16

// C[R][V vectors] = A[R][K] B[K][V vectors]
template <int R, int V> void product(const float* a, long a_pitch, const float* b, int K, float* c, long c_pitch) {
    Vec sum[R][V] = {};
    for (int k = 0; k < K; k++, b += V * L) {
        Vec right[V];
        for (int j = 0; j < V; j++) right[j] = load(b + j * L);
#pragma GCC unroll 16
        for (int i = 0; i < R; i++) {
            const float left = a[i * a_pitch + k];
            for (int j = 0; j < V; j++) sum[i][j] += left * right[j];
        }
    }
    for (int i = 0; i < R; i++)
        for (int j = 0; j < V; j++) store(c + i * c_pitch + j * L, sum[i][j]);
}

// C[R][columns] = epilogue(A[R][K] B[K][columns]), columns = V vectors of which the last may be a part
template <int R, int V, class P>
void dense_block(const float* a, const float* b, int K, int N, nn::Epilogue e, float* c, P last) {
    Vec sum[R][V] = {};
    for (int k = 0; k < K; k++, b += N) {
        Vec right[V];
        for (int j = 0; j < V - 1; j++) right[j] = load(b + j * L);
        right[V - 1] = last.load(b + (V - 1) * L);
#pragma GCC unroll 16
        for (int i = 0; i < R; i++)
            for (int j = 0; j < V; j++) sum[i][j] += a[long(i) * K + k] * right[j];
    }
    for (int i = 0; i < R; i++)
        for (int j = 0; j < V; j++) {
            const auto finish = [&](auto part) {
                Vec v = sum[i][j];
                if (e.bias) v += part.load(e.bias + j * L);
                part.store(c + long(i) * N + j * L, e.relu ? relu(v) : v);
            };
            if (j < V - 1) finish(Whole());
            else finish(last);
        }
}

// C[R][V vectors] += A[K][R]^T B[K][V vectors]
template <int R, int V>
void transposed_product(const float* a, long a_pitch, const float* b, long b_pitch, int K, float* c, long c_pitch) {
    Vec sum[R][V];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < V; j++) sum[i][j] = load(c + i * c_pitch + j * L);
    for (int k = 0; k < K; k++, a += a_pitch, b += b_pitch) {
        Vec right[V];
        for (int j = 0; j < V; j++) right[j] = load(b + j * L);
#pragma GCC unroll 16
        for (int i = 0; i < R; i++)
            for (int j = 0; j < V; j++) sum[i][j] += a[i] * right[j];
    }
    for (int i = 0; i < R; i++)
        for (int j = 0; j < V; j++) store(c + i * c_pitch + j * L, sum[i][j]);
}

// f(first row, number of rows as a constant) over blocks of equal height, as far as that is possible.
template <int R, class F> INLINE void with_constant(int rows, F f) {
    if constexpr (R > 0) {
        if (rows == R) f(std::integral_constant<int, R>());
        else with_constant<R - 1>(rows, f);
    }
}
template <class F> INLINE void row_blocks(long rows, F f) {
    const long blocks = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (long b = 0, row = 0; b < blocks; b++) {
        const int height = int(rows / blocks + (b < rows % blocks));
        with_constant<BLOCK_ROWS>(height, [&](auto r) { f(row, r); });
        row += height;
    }
}
// f(first column, number of vectors as a constant): pairs of vectors, then perhaps a single one. columns = padded.
template <class F> INLINE void column_panels(int columns, F f) {
    int c = 0;
    for (; c + 2 * L <= columns; c += 2 * L) f(c, std::integral_constant<int, 2>());
    if (c < columns) f(c, std::integral_constant<int, 1>());
}

// y [rows][out] = x [rows][in] weight [in][out] + bias, a whole layer
inline void dense(const float* x, const float* weight, nn::Epilogue e, float* y, long rows, int in, int out) {
    const float* bias = e.bias;
    const auto panel = [&](int column, auto vectors, auto last) {
        e.bias = bias ? bias + column : nullptr;
        row_blocks(rows, [&](long row, auto height) {
            dense_block<decltype(height)::value, decltype(vectors)::value>(x + row * in, weight + column, in, out, e,
                                                                           y + row * out + column, last);
        });
    };
    constexpr std::integral_constant<int, 1> one;
    constexpr std::integral_constant<int, 2> two;
    for (int c = 0; c < out; c += 2 * L) {
        const int left = out - c;
        if (left >= 2 * L) panel(c, two, Whole());
        else if (left > L) panel(c, two, Part{left - L});
        else if (left == L) panel(c, one, Whole());
        else panel(c, one, Part{left});
    }
}
