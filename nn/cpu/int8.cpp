// The VNNI kernels; compiled with its flags, so no standard containers here (see isa.cpp).
#include "int8.hpp"

#include <immintrin.h>

#include <type_traits>

#define INLINE inline __attribute__((always_inline))

namespace {
using nn::Int8Conv;

constexpr int L = 16, BLOCK = 12;  // positions of a register block, x 2 vectors of outputs

INLINE __mmask16 first(int lanes) { return lanes >= L ? 0xFFFF : __mmask16((1u << lanes) - 1); }

float quantise(const Int8Conv& s, const float* x, uint8_t* image) {
    const __m512 inverse = _mm512_set1_ps(1 / s.input_scale), zero = _mm512_setzero_ps();
    const __m512i middle = _mm512_set1_epi32(128), largest = _mm512_set1_epi32(127), least = _mm512_set1_epi32(-127);
    const int pitch = nn::int8_pitch(s.in);
    __m512 check = zero;  // value * 0 is NaN for what is not finite
    for (int r = 0; r < s.rows + 2; r++)
        for (int col = 0; col < s.cols + 2; col++, image += pitch) {
            const bool inside = r && r <= s.rows && col && col <= s.cols;
            for (int c = 0; c < s.in; c += L) {
                __m128i bytes = _mm_set1_epi8(char(128));
                if (inside) {
                    const __m512 v = _mm512_maskz_loadu_ps(first(s.in - c), x + c);
                    check = _mm512_fmadd_ps(v, zero, check);
                    const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(v, inverse));
                    const __m512i clipped = _mm512_max_epi32(_mm512_min_epi32(q, largest), least);
                    bytes = _mm512_cvtepi32_epi8(_mm512_add_epi32(clipped, middle));
                }
                _mm_storeu_si128((__m128i*)(image + c), bytes);
            }
            if (inside) x += s.in;
        }
    return _mm512_reduce_add_ps(check);
}

// R neighbouring positions x V vectors of outputs
template <int R, int V>
INLINE void block(const Int8Conv& s, const uint8_t* image, const int8_t* filters, const __m512 (&scale)[V],
                  const float* residual, float* y, int o) {
    const int pitch = nn::int8_pitch(s.in), steps = (s.in + 3) / 4;
    __m512i sum[R][V];
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
        for (int j = 0; j < V; j++) sum[i][j] = _mm512_setzero_si512();
    for (int tap = 0; tap < 9; tap++) {
        const uint8_t* a = image + (long(tap / 3) * (s.cols + 2) + tap % 3) * pitch;
        for (int k = 0; k < steps; k++, a += 4, filters += V * 64) {
            __m512i right[V];
            for (int j = 0; j < V; j++) right[j] = _mm512_loadu_si512(filters + j * 64);
#pragma GCC unroll 16
            for (int i = 0; i < R; i++) {
                int32_t four;
                __builtin_memcpy(&four, a + long(i) * pitch, 4);
                const __m512i left = _mm512_set1_epi32(four);
                for (int j = 0; j < V; j++) sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], left, right[j]);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
        for (int j = 0; j < V; j++) {
            const int channel = o + j * L;
            const __mmask16 lanes = first(s.out - channel);
            const long at = long(i) * s.out + channel;
            const __m512i exact = _mm512_sub_epi32(sum[i][j], _mm512_maskz_loadu_epi32(lanes, s.correction + channel));
            __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), scale[j], _mm512_maskz_loadu_ps(lanes, s.bias + channel));
            if (residual) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, residual + at));
            if (s.relu) v = _mm512_max_ps(_mm512_setzero_ps(), v);
            _mm512_mask_storeu_ps(y + at, lanes, v);
        }
}

template <int R, class F> INLINE void with_constant(int count, F f) {
    if constexpr (R > 0) {
        if (count == R) f(std::integral_constant<int, R>());
        else with_constant<R - 1>(count, f);
    }
}

template <int V>
void panel(const Int8Conv& s, const uint8_t* image, float check, const int8_t* filters, const float* residual, float* y,
           int o) {
    __m512 scale[V];
    for (int j = 0; j < V; j++)
        scale[j] = _mm512_mul_ps(_mm512_maskz_loadu_ps(first(s.out - o - j * L), s.scale + o + j * L),
                                 _mm512_set1_ps(s.input_scale + check));
    const int pitch = nn::int8_pitch(s.in), blocks = (s.cols + BLOCK - 1) / BLOCK;
    for (int r = 0; r < s.rows; r++)
        for (int b = 0, col = 0; b < blocks; b++) {
            const int width = s.cols / blocks + (b < s.cols % blocks);
            const long at = (long(r) * s.cols + col) * s.out;
            const uint8_t* from = image + (long(r) * (s.cols + 2) + col) * pitch;
            with_constant<BLOCK>(width, [&](auto count) {
                block<decltype(count)::value, V>(s, from, filters, scale, residual ? residual + at : nullptr, y + at, o);
            });
            col += width;
        }
}

void convolve(const Int8Conv& s, const uint8_t* image, float check, const float* residual, float* y) {
    const int outputs = nn::int8_outputs(s.out);
    const long vector = 9l * ((s.in + 3) / 4) * 64;  // bytes of the filters of 16 outputs
    int o = 0;
    for (; o + 2 * L <= outputs; o += 2 * L) panel<2>(s, image, check, s.filters + o / L * vector, residual, y, o);
    if (o < outputs) panel<1>(s, image, check, s.filters + o / L * vector, residual, y, o);
}
}  // namespace

namespace nn {
extern const Int8Kernels vnni;
const Int8Kernels vnni = {quantise, convolve};
}  // namespace nn
