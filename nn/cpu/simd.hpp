// One vector of LANES floats: GCC's vector extension, plus the loads and stores of part of a vector.
#pragma once

#define INLINE inline __attribute__((always_inline))

typedef float Vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
constexpr int L = LANES;

INLINE Vec load(const float* p) { return *(const Vec*)p; }
INLINE void store(float* p, Vec v) { *(Vec*)p = v; }

#if LANES == 16
INLINE __mmask16 first(int lanes) { return __mmask16((1u << lanes) - 1); }
INLINE Vec load_part(const float* p, int lanes) { return (Vec)_mm512_maskz_loadu_ps(first(lanes), p); }
INLINE void store_part(float* p, Vec v, int lanes) { _mm512_mask_storeu_ps(p, first(lanes), (__m512)v); }
#else
INLINE __m256i first(int lanes) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE Vec load_part(const float* p, int lanes) { return (Vec)_mm256_maskload_ps(p, first(lanes)); }
INLINE void store_part(float* p, Vec v, int lanes) { _mm256_maskstore_ps(p, first(lanes), (__m256)v); }
#endif

// A vector of channels: all lanes, or the last few channels of an array.
struct Whole {
    INLINE Vec load(const float* p) const { return *(const Vec*)p; }
    INLINE void store(float* p, Vec v) const { *(Vec*)p = v; }
};
struct Part {
    int lanes;
    INLINE Vec load(const float* p) const { return load_part(p, lanes); }
    INLINE void store(float* p, Vec v) const { store_part(p, v, lanes); }
};

// f(first channel, Whole or Part) for each vector of channels.
template <class F> INLINE void each_vector(int channels, F f) {
    int c = 0;
    for (; c + L <= channels; c += L) f(c, Whole());
    if (c < channels) f(c, Part{channels - c});
}

// NaN stays NaN: the second operand of a maximum wins when either is not a number.
INLINE Vec relu(Vec v) {
    Vec zero = {};
    return zero > v ? zero : v;
}
