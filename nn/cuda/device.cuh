// What the kernels need of CUDA, without CUDA's headers: bfloat16, tensor-core products, shared memory.
//
// A build for the CPU (tests/nn/cuda_on_cpu.hpp, named by CUDA_ON_CPU) replaces everything that is not plain C++.
#pragma once

typedef unsigned short bf16;
typedef unsigned int uint32;

#ifdef CUDA_ON_CPU
#include CUDA_ON_CPU
#else

#define SHARED_BUFFER(name) extern __shared__ __align__(16) unsigned char name[]

struct __align__(16) Fragment { uint32 r[4]; };  // 16 bytes: four registers of a lane

__device__ inline uint32 bits_of(float f) { return __float_as_uint(f); }
__device__ inline float float_of(uint32 u) { return __uint_as_float(u); }

// Four 8x8 matrices of bfloat16 from shared memory: lane l names row l % 8 of matrix l / 8, and receives of each
// matrix the elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4.
__device__ inline void load_matrices(Fragment& f, const bf16* row) {
    const uint32 address = (uint32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3]) : "r"(address));
}

// d [16][8] += a [16][16] b [16][8], spread over a warp as PTX's mma.m16n8k16 defines it
__device__ inline void multiply_add(float (&d)[4], const Fragment& a, uint32 b0, uint32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b0), "r"(b1));
}
#endif

__device__ inline float widen(bf16 v) { return float_of((uint32)v << 16); }
// To nearest, ties to even; NaN stays NaN.
__device__ inline bf16 narrow(float f) {
    const uint32 u = bits_of(f);
    if (f != f) return (bf16)(u >> 16 | 0x40);
    return (bf16)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}
__device__ inline uint32 narrow_pair(float a, float b) { return (uint32)narrow(a) | (uint32)narrow(b) << 16; }
__device__ inline float relu(float v) { return v < 0 ? 0 : v; }  // NaN stays NaN
