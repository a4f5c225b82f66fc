// 3x3 convolution of whole boards that lie in shared memory, on tensor cores.
//
// Boards are independent, so a block of threads keeps its boards: M = BOARDS * ROWS * COLS positions of one image list
// [M + 1][PITCH] in bfloat16, the last row zeros. A tap of the filter is a shift of row addresses; where it leaves the
// board it reads the row of zeros. Filters come from global memory in the order in which lanes use them:
//     [tap][16 inputs][16 outputs][lane][4 registers]
// Compile-time: ROWS, COLS, BOARDS, CHANNELS (outputs of the block, a multiple of 16 WARPS_N), WARPS_M, WARPS_N,
// WIDTH (channels of a position in shared memory, a multiple of 16).
#pragma once
#include "device.cuh"

const int AREA = ROWS * COLS, M = BOARDS * AREA, M_TILES = (M + 15) / 16;
const int THREADS = 32 * WARPS_M * WARPS_N;
const int PITCH = WIDTH + 8;                       // 16 bytes more: the rows of a matrix fall into different banks
const int N_TILES = CHANNELS / 8 / WARPS_N;        // 8 outputs each, of one warp
const int TILES_AT_ONCE = 6;                       // tiles of 16 positions of one warp: 24 N_TILES sums in registers
const int PASSES = (M_TILES + TILES_AT_ONCE * WARPS_M - 1) / (TILES_AT_ONCE * WARPS_M);
const int LIST = (M + 1) * PITCH;                  // values of one image list

struct Sums { float d[TILES_AT_ONCE][N_TILES][4]; };

__device__ inline int warp_row() { return threadIdx.x / 32 % WARPS_M; }
__device__ inline int warp_col() { return threadIdx.x / 32 / WARPS_M; }
__device__ inline int tile_of(int pass, int i) { return (pass * TILES_AT_ONCE + i) * WARPS_M + warp_row(); }

// Sums of this warp's positions and outputs over all taps and `channels` inputs. `filter_stride`: fragments of one tap
// and 16 inputs, over all outputs; `filters` points to the block's first.
__device__ inline void convolve(Sums& sums, const bf16* images, int channels, const Fragment* filters,
                                int filter_stride, int pass) {
    const int lane = threadIdx.x % 32, row_in_tile = lane % 16, column = lane / 16 * 8;
    int y[TILES_AT_ONCE], x[TILES_AT_ONCE];
    #pragma unroll
    for (int i = 0; i < TILES_AT_ONCE; i++) {
        const int at = (tile_of(pass, i) * 16 + row_in_tile) % AREA;
        y[i] = at / COLS, x[i] = at % COLS;
        #pragma unroll
        for (int j = 0; j < N_TILES; j++)
            for (int k = 0; k < 4; k++) sums.d[i][j][k] = 0;
    }
    const Fragment* next = filters + warp_col() * (N_TILES / 2) * 32 + lane;
    Fragment ahead[N_TILES / 2];
    #pragma unroll
    for (int j = 0; j < N_TILES / 2; j++) ahead[j] = next[j * 32];
    for (int tap = 0; tap < 9; tap++) {
        const int dy = tap / 3 - 1, dx = tap % 3 - 1;
        const bf16* row[TILES_AT_ONCE];
        #pragma unroll
        for (int i = 0; i < TILES_AT_ONCE; i++) {
            const int position = tile_of(pass, i) * 16 + row_in_tile, r = y[i] + dy, c = x[i] + dx;
            const bool inside = position < M && r >= 0 && r < ROWS && c >= 0 && c < COLS;
            row[i] = images + (inside ? position + dy * COLS + dx : M) * PITCH + column;
        }
        for (int k = 0; k < channels; k += 16) {
            Fragment b[N_TILES / 2];
            const bool last = tap == 8 && k + 16 >= channels;
            next += last ? 0 : filter_stride;  // the filters of the next step travel while this one computes
            #pragma unroll
            for (int j = 0; j < N_TILES / 2; j++) b[j] = ahead[j], ahead[j] = next[j * 32];
            #pragma unroll
            for (int i = 0; i < TILES_AT_ONCE; i++) {
                if (tile_of(pass, i) >= M_TILES) continue;  // the same for the whole warp
                Fragment a;
                load_matrices(a, row[i] + k);
                #pragma unroll
                for (int j = 0; j < N_TILES; j++)
                    multiply_add(sums.d[i][j], a, b[j / 2].r[j % 2 * 2], b[j / 2].r[j % 2 * 2 + 1]);
            }
        }
    }
}

// f(position, output, first sum, second sum) for this lane's sums, two neighbouring outputs at a time
template <class F> __device__ inline void each_pair(const Sums& sums, int pass, F f) {
    const int lane = threadIdx.x % 32;
    #pragma unroll
    for (int i = 0; i < TILES_AT_ONCE; i++)
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            const int position = tile_of(pass, i) * 16 + lane / 4 + 8 * half;
            if (position >= M) continue;
            #pragma unroll
            for (int j = 0; j < N_TILES; j++) {
                const int output = (warp_col() * N_TILES + j) * 8 + lane % 4 * 2;
                f(position, output, sums.d[i][j][2 * half], sums.d[i][j][2 * half + 1]);
            }
        }
}

// images [boards present][AREA][channels] in global memory -> list, zeros in the other channels, boards and last row
template <class T, class F>
__device__ inline void load_images(bf16* list, const T* x, int boards, int channels, F convert) {
    for (int i = threadIdx.x; i < (M + 1) * WIDTH; i += THREADS) {
        const int position = i / WIDTH, c = i % WIDTH;
        const bool present = position < M && position < boards * AREA && c < channels;
        list[position * PITCH + c] = present ? convert(x[(long long)position * channels + c]) : (bf16)0;
    }
}
