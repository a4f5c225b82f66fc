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
template <class F> INLINE void row_blocks(int rows, F f) {
    const int blocks = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (int b = 0, row = 0; b < blocks; b++) {
        const int height = rows / blocks + (b < rows % blocks);
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
