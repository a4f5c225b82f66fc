// The AMX kernels; compiled with the flags of AVX-512 BF16 and AMX, so no standard containers here (see isa.cpp).
#include "amx.hpp"

#include <immintrin.h>

#ifdef AMX_EMULATION  // the tests run this file without the instructions
#include AMX_EMULATION
#endif

namespace {
using nn::AMX_BLOCK;
using nn::AmxEpilogue;
using nn::Bf16;
using nn::FlatBoards;

constexpr int TILE = 16;  // rows of a tile; columns in float32, pairs of bfloat16

struct __attribute__((packed)) TileConfig {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

void begin() {
    static const TileConfig config;
    _tile_loadconfig(&config);
}
void end() { _tile_release(); }

inline __mmask16 first(int lanes) { return lanes >= 16 ? 0xFFFF : lanes <= 0 ? 0 : __mmask16((1u << lanes) - 1); }
inline __m256i narrow(__m512 v) { return (__m256i)_mm512_cvtneps_pbh(v); }
inline __m512 widen(const Bf16* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
}
// 16 channels of one position, zeros beyond the last; of no position at all if p is null
inline __m256i load_narrow(const float* p, int channels) {
    return p ? narrow(_mm512_maskz_loadu_ps(first(channels), p)) : _mm256_setzero_si256();
}

// Filters as the right operand of the tile product: [block of 16 outputs][tap][block of 32 inputs][input pair][output][2]
void pack_filters(const float* weight, int in, int out, Bf16* filters) {
    const int in_padded = nn::amx_channels(in), out_padded = nn::amx_channels(out);
    for (int o = 0; o < out_padded; o += TILE)
        for (int tap = 0; tap < 9; tap++)
            for (int i = 0; i < in_padded; i += 2) {
                const auto row = [&](int k) {
                    const float* p = weight + (long(tap) * in + k) * out + o;
                    return _mm512_cvtepu16_epi32(load_narrow(k < in && o < out ? p : nullptr, out - o));
                };
                const __m512i pair = _mm512_or_si512(row(i), _mm512_slli_epi32(row(i + 1), 16));
                _mm512_storeu_si512(filters, pair);
                filters += 2 * TILE;
            }
}

void flatten(const FlatBoards& shape, const float* x, int channels, int boards, Bf16* list) {
    const int padded = nn::amx_channels(channels);
    const __m512i zero = _mm512_setzero_si512();
    for (long p = -shape.guard(); p < shape.span(boards) + shape.guard(); p++)
        for (int c = 0; c < padded; c += 32) _mm512_storeu_si512(list + p * padded + c, zero);
    for (int n = 0; n < boards; n++)
        for (int r = 0; r < shape.rows; r++) {
            Bf16* to = list + (n * shape.board() + long(r) * shape.pitch()) * padded;
            for (int col = 0; col < shape.cols; col++, x += channels, to += padded)
                for (int c = 0; c < channels; c += 16)
                    _mm256_storeu_si256((__m256i*)(to + c), load_narrow(x + c, channels - c));
        }
}

// NaN stays NaN: the second operand of the maximum wins.
inline __m512 finish(__m512 v, const AmxEpilogue& e, int o, long at) {
    if (e.bias) v = _mm512_add_ps(v, _mm512_loadu_ps(e.bias + o));
    if (e.residual) v = _mm512_add_ps(v, widen(e.residual + at));
    return e.relu ? _mm512_max_ps(_mm512_setzero_ps(), v) : v;
}

// `points`: of all boards; the list of fewer boards than `dense_row` was made for ends earlier
inline void store_block(const float* sums, const AmxEpilogue& e, int32_t points, long position, int o, int out_padded) {
    for (int i = 0; i < AMX_BLOCK; i++) {
        const long at = (position + i) * out_padded + o;
        const int32_t row = e.dense_row[position + i];
        const bool empty = row < 0 || row >= points;
        if (e.flat) {
            const __m256i v = empty ? _mm256_setzero_si256() : narrow(finish(_mm512_load_ps(sums + i * TILE), e, o, at));
            _mm256_storeu_si256((__m256i*)(e.flat + at), v);
        } else if (!empty) {
            const __m512 v = finish(_mm512_load_ps(sums + i * TILE), e, o, at);
            _mm512_mask_storeu_ps(e.dense + long(row) * e.out + o, first(e.out - o), v);
        }
    }
}

// A register block is 64 positions x 16 outputs: one tile of weights meets four of positions.
void convolve(const FlatBoards& shape, const Bf16* list, int in, const Bf16* filters, int out, int boards,
              const AmxEpilogue& e) {
    const int in_padded = nn::amx_channels(in), out_padded = nn::amx_channels(out);
    const long row_bytes = in_padded * sizeof(Bf16), tile = long(TILE) * in_padded;
    alignas(64) float sums[AMX_BLOCK * TILE];
    for (int o = 0; o < out_padded; o += TILE)
        for (long p = 0; p < shape.span(boards); p += AMX_BLOCK) {
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            const Bf16* w = filters + long(o) * 9 * in_padded;
            for (int tap = 0; tap < 9; tap++) {
                const Bf16* a = list + (p + (tap / 3 - 1) * shape.pitch() + (tap % 3 - 1)) * in_padded;
                for (int k = 0; k < in_padded; k += 32, a += 32, w += 32 * TILE) {
                    _tile_loadd(4, w, 64);
                    _tile_loadd(5, a, row_bytes);
                    _tile_dpbf16ps(0, 5, 4);
                    _tile_loadd(6, a + tile, row_bytes);
                    _tile_dpbf16ps(1, 6, 4);
                    _tile_loadd(7, a + 2 * tile, row_bytes);
                    _tile_dpbf16ps(2, 7, 4);
                    _tile_loadd(5, a + 3 * tile, row_bytes);
                    _tile_dpbf16ps(3, 5, 4);
                }
            }
            _tile_stored(0, sums, 64);
            _tile_stored(1, sums + TILE * TILE, 64);
            _tile_stored(2, sums + 2 * TILE * TILE, 64);
            _tile_stored(3, sums + 3 * TILE * TILE, 64);
            store_block(sums, e, boards * shape.rows * shape.cols, p, o, out_padded);
        }
}

// In-place transpose of a 16 x 16 matrix of 32-bit values, one vector per row.
inline void transpose(__m512i (&m)[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(m[i], m[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(m[i], m[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            m[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
            m[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(m[i], m[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(m[i], m[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_i32x4(m[i + 8], m[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(m[i + 8], m[i + 12], 0xDD);
    }
    for (int i = 0; i < 4; i++) {
        m[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        m[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD);
        m[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        m[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xDD);
    }
}

// Walks the flat list in pairs of positions; f(index of the pair, first, second) with the floats of a position or null.
template <class F> inline void each_pair(const FlatBoards& shape, const float* x, int channels, int boards, F f) {
    const long board = shape.board();
    const auto at = [&](long p) -> const float* {
        const long n = p / board, r = p % board / shape.pitch(), c = p % board % shape.pitch();
        const bool inside = n < boards && r < shape.rows && c < shape.cols;
        return inside ? x + ((n * shape.rows + r) * shape.cols + c) * channels : nullptr;
    };
    for (long p = 0; p < shape.span(boards); p += 2) f(p / 2, at(p), at(p + 1));
}
inline __m512i interleave(const float* a, const float* b, int c, int channels) {
    const __m256i low = load_narrow(a ? a + c : nullptr, channels - c), high = load_narrow(b ? b + c : nullptr, channels - c);
    return _mm512_or_si512(_mm512_cvtepu16_epi32(low), _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

// Left operand: [channel][position], `pitch` apart; guards are zero.
void transpose_list(const FlatBoards& shape, const float* x, int channels, int boards, Bf16* to, long pitch) {
    const int padded = nn::amx_channels(channels);
    const long guard = shape.guard(), span = shape.span(boards);
    for (int c = 0; c < padded; c++)
        for (long p = 0; p < guard; p++) to[c * pitch - 1 - p] = to[c * pitch + span + p] = 0;
    for (int c = 0; c < padded; c += 16) {
        __m512i block[16];
        each_pair(shape, x, channels, boards, [&](long pair, const float* a, const float* b) {
            block[pair % 16] = interleave(a, b, c, channels);
            if (pair % 16 < 15) return;
            transpose(block);
            for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + (c + i) * pitch + (pair - 15) * 2, block[i]);
        });
    }
}

// Right operand: [block of 16 channels][pair of positions][channel][2]
void pair_list(const FlatBoards& shape, const float* g, int channels, int boards, Bf16* to) {
    const long block = shape.span(boards) * TILE;
    each_pair(shape, g, channels, boards, [&](long pair, const float* a, const float* b) {
        for (int c = 0; c < nn::amx_channels(channels); c += TILE)
            _mm512_storeu_si512(to + c / TILE * block + pair * 2 * TILE, interleave(a, b, c, channels));
    });
}

// For each tap, x^T g over the flat list, x shifted by the tap: 32 inputs x 32 outputs in four tiles.
void weight_gradient(const FlatBoards& shape, const float* x, int in, const float* g, int out, int boards,
                     float* gradient, Bf16* memory) {
    const int in_padded = nn::amx_channels(in), out_padded = nn::amx_channels(out);
    const long span = shape.span(boards), pitch = span + 2 * shape.guard(), block = span * TILE;
    Bf16 *left = memory + shape.guard(), *right = memory + pitch * in_padded;
    transpose_list(shape, x, in, boards, left, pitch);
    pair_list(shape, g, out, boards, right);
    for (int tap = 0; tap < 9; tap++)
        for (int i = 0; i < in_padded; i += 32)
            for (int o = 0; o < out_padded; o += 32) {
                float* sum = gradient + (long(tap) * in_padded + i) * out_padded + o;
                const long bytes = out_padded * sizeof(float), half = long(TILE) * out_padded;
                _tile_loadd(0, sum, bytes);
                _tile_loadd(1, sum + TILE, bytes);
                _tile_loadd(2, sum + half, bytes);
                _tile_loadd(3, sum + half + TILE, bytes);
                const Bf16* a = left + i * pitch + (tap / 3 - 1) * shape.pitch() + (tap % 3 - 1);
                const Bf16* b = right + o / TILE * block;
                for (long p = 0; p < span; p += 32, a += 32, b += 32 * TILE) {
                    _tile_loadd(4, a, pitch * sizeof(Bf16));
                    _tile_loadd(5, a + TILE * pitch, pitch * sizeof(Bf16));
                    _tile_loadd(6, b, 64);
                    _tile_loadd(7, b + block, 64);
                    _tile_dpbf16ps(0, 4, 6);
                    _tile_dpbf16ps(1, 4, 7);
                    _tile_dpbf16ps(2, 5, 6);
                    _tile_dpbf16ps(3, 5, 7);
                }
                _tile_stored(0, sum, bytes);
                _tile_stored(1, sum + TILE, bytes);
                _tile_stored(2, sum + half, bytes);
                _tile_stored(3, sum + half + TILE, bytes);
            }
}
}  // namespace

namespace nn {
extern const AmxKernels amx;
const AmxKernels amx = {begin, end, pack_filters, flatten, convolve, weight_gradient};
}  // namespace nn
