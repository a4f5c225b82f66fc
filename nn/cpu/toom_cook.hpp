// The matrices of F(M, 3): M outputs of a 3-tap correlation of N = M + 2 inputs d with a filter g are
//     A^T ((G g) * (B^T d))
// with * elementwise. Toom-Cook with the points 0, 1, -1, 2, -2 and infinity; Lavin & Gray, "Fast Algorithms for
// Convolutional Neural Networks", 2015 (arXiv:1509.09308), section 4 and its supplement.
#pragma once

template <int M> struct ToomCook {
    static constexpr int N = M + 2;
    float AT[M][N] = {}, A[N][M] = {}, BT[N][N] = {}, G[N][3] = {}, GT[3][N] = {};

    constexpr ToomCook() {
        const double points[] = {0, 1, -1, 2, -2};
        const int finite = N - 1;
        for (int j = 0; j < finite; j++) {
            double power = 1, scale = 1;
            for (int i = 0; i < finite; i++) scale *= i == j ? 1 : points[j] - points[i];
            for (int i = 0; i < M || i < 3; i++, power *= points[j]) {
                if (i < M) AT[i][j] = power;
                if (i < 3) G[j][i] = power / scale;
            }
            polynomial(points, finite, j, BT[j]);
        }
        AT[M - 1][N - 1] = 1;
        G[N - 1][2] = 1;
        polynomial(points, finite, -1, BT[N - 1]);
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < M; j++) A[i][j] = AT[j][i];
            for (int j = 0; j < 3; j++) GT[j][i] = G[i][j];
        }
    }

    // Coefficients, lowest power first, of the product of (x - point) over all points but one.
    static constexpr void polynomial(const double* points, int count, int without, float* out) {
        double c[N] = {1};
        for (int k = 0; k < count; k++) {
            if (k == without) continue;
            for (int i = N - 1; i >= 0; i--) c[i] = (i ? c[i - 1] : 0) - points[k] * c[i];
        }
        for (int i = 0; i < N; i++) out[i] = float(c[i]);
    }
};

// o[R] = m[R][S] d[S], with strides; the loops vanish, products with 0 and 1 too.
template <int R, int S> INLINE void multiply(const float (&m)[R][S], const Vec* d, int ds, Vec* o, int os) {
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        Vec sum = {};
        bool started = false;
#pragma GCC unroll 8
        for (int k = 0; k < S; k++) {
            const float f = m[r][k];
            if (f == 0) continue;
            const Vec v = d[k * ds];
            if (!started) sum = f == 1 ? v : f == -1 ? -v : f * v;
            else if (f == 1) sum += v;
            else if (f == -1) sum -= v;
            else sum += f * v;
            started = true;
        }
        o[r * os] = sum;
    }
}

// o[R][P] = a[R][S] d[S][Q] b[P][Q]^T
template <int R, int S, int P, int Q>
INLINE void sandwich(const float (&a)[R][S], const float (&b)[P][Q], const Vec* d, Vec* o) {
    Vec t[R * Q];
#pragma GCC unroll 8
    for (int j = 0; j < Q; j++) multiply(a, d + j, Q, t + j, Q);
#pragma GCC unroll 8
    for (int i = 0; i < R; i++) multiply(b, t + i * Q, 1, o + i * P, 1);
}
