// The kernels for one instruction set. The build compiles this file once for each, with
//   -DISA=avx512 -DLANES=16 and the processor's flags, or -DISA=avx2 -DLANES=8.
//
// Everything but the table lives in an unnamed namespace, and no standard container is used: an inline function shared
// with another object file could otherwise end up in the program with instructions the processor does not have.
#include <immintrin.h>

#include <type_traits>

#include "kernels.hpp"

namespace {
using nn::Conv;
using nn::Epilogue;
#include "simd.hpp"
#include "toom_cook.hpp"
#include "gemm.hpp"
#include "winograd.hpp"
#include "norm.hpp"
#include "global_pool.hpp"

// f(the Winograd implementation for this tile)
template <class F> void with_tile(nn::Tile t, F f) {
    switch (10 * t.rows + t.cols) {
        case 22: return f(Winograd<2, 2>());
        case 23: return f(Winograd<2, 3>());
        case 24: return f(Winograd<2, 4>());
        case 32: return f(Winograd<3, 2>());
        case 33: return f(Winograd<3, 3>());
        case 34: return f(Winograd<3, 4>());
        case 42: return f(Winograd<4, 2>());
        case 43: return f(Winograd<4, 3>());
        case 44: return f(Winograd<4, 4>());
    }
}

void transform_filters(const Conv& s, const float* weight, float* filters) {
    with_tile(s.tile, [&](auto w) { w.transform_filters(s, weight, filters); });
}
void convolve(const Conv& s, const float* x, const float* filters, Epilogue e, float* y, int boards, float* scratch) {
    with_tile(s.tile, [&](auto w) { w.convolve(s, x, filters, e, y, boards, scratch); });
}
void weight_gradient(const Conv& s, const float* x, const float* g, float* gradient, int boards, float* scratch) {
    with_tile(s.tile, [&](auto w) { w.weight_gradient(s, x, g, gradient, boards, scratch); });
}
void restore_gradient(const Conv& s, const float* gradient, float* weight) {
    with_tile(s.tile, [&](auto w) { w.restore_gradient(s, gradient, weight); });
}
}  // namespace

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

namespace nn {
extern const Kernels ISA;
const Kernels ISA = {TEXT(ISA), LANES, transform_filters, convolve, weight_gradient, restore_gradient,
                     dense, global_pool, moments, normalise, gradient_sums, gradient_apply};
}  // namespace nn
