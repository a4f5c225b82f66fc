// Convolutions in bfloat16 on AMX tiles: operands rounded to bfloat16, sums in float32.
//
// Positions form one flat list: row pitch cols + 1, one empty row after each board, so that every tap of a filter is a
// constant shift and the border costs no test. Empty positions hold zeros. Channels are padded to a multiple of 32.
// Values travel as uint16_t.
#pragma once

#include <cstdint>

namespace nn {

using Bf16 = uint16_t;
constexpr int AMX_BLOCK = 64;  // positions of a register block: four tiles of 16

struct FlatBoards {
    int rows, cols;

    int pitch() const { return cols + 1; }
    long board() const { return long(rows + 1) * pitch(); }
    long span(int boards) const { return (boards * board() + AMX_BLOCK - 1) / AMX_BLOCK * AMX_BLOCK; }
    // Zero positions that must lie before and after the list.
    long guard() const { return pitch() + 1; }
};

inline int amx_channels(int channels) { return (channels + 31) / 32 * 32; }

struct AmxEpilogue {
    const float* bias;         // [out padded] or null
    const Bf16* residual;      // as the output, or null
    bool relu;
    Bf16* flat;                // where the output goes: the flat list [position][out padded] ...
    float* dense;              // ... or, if flat is null, [boards][rows][cols][out]
    int out;                   // channels of the dense output
    const int32_t* dense_row;  // [position]: its index among the points of the boards, -1 for an empty position
};

struct AmxKernels {
    void (*begin)();  // before a thread's first kernel, and
    void (*end)();    // after its last
    // weight [3][3][in][out] -> amx_filter_size values
    void (*pack_filters)(const float* weight, int in, int out, Bf16* filters);
    void (*flatten)(const FlatBoards&, const float* x, int channels, int boards, Bf16* list);  // zeroes the rest
    void (*convolve)(const FlatBoards&, const Bf16* list, int in, const Bf16* filters, int out, int boards,
                     const AmxEpilogue&);
    // gradient [9][in padded][out padded] += of these boards; memory: amx_gradient_scratch values
    void (*weight_gradient)(const FlatBoards&, const float* x, int in, const float* g, int out, int boards,
                            float* gradient, Bf16* memory);
};

inline long amx_filter_size(int in, int out) { return 9l * amx_channels(in) * amx_channels(out); }
inline long amx_gradient_scratch(const FlatBoards& b, int in, int out, int boards) {
    return (b.span(boards) + 2 * b.guard() + 64) * (amx_channels(in) + amx_channels(out)) + 64;
}

// Null without AMX-BF16 in the build, the processor or the kernel.
const AmxKernels* amx_kernels();

}  // namespace nn
