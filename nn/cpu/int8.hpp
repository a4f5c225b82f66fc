// Convolutions in 8-bit integers on AVX-512 VNNI, one board at a time; nn.reference.Int8Tower is their definition.
//
// Images are bytes with a border, [rows + 2][cols + 2][pitch], 128 being zero (the instruction wants them unsigned);
// sums are exact in 32 bits; what leaves a convolution is float32 again.
#pragma once

#include <cstdint>

namespace nn {

struct Int8Conv {
    int rows, cols, in, out;
    bool relu;
    float input_scale;
    const int8_t* filters;      // int8_filter_size bytes, see pack_int8_filters
    const float *scale, *bias;  // [out]: of the weights
    const int32_t* correction;  // [out]: 128 times the sum of the output's weights
};

struct Int8Kernels {
    // x [rows][cols][in] -> image: multiples of the input's scale from -127 to 127, plus 128. Returns 0, or NaN if a
    // value is not finite.
    float (*quantise)(const Int8Conv&, const float* x, uint8_t* image);
    // residual (or null) and y [rows][cols][out]; `check` is what quantise returned
    void (*convolve)(const Int8Conv&, const uint8_t* image, float check, const float* residual, float* y);
};

inline int int8_pitch(int channels) { return (channels + 15) / 16 * 16; }
inline long int8_image_size(int rows, int cols, int channels) {
    return long(rows + 2) * (cols + 2) * int8_pitch(channels) + 64;
}
inline int int8_outputs(int out) { return (out + 15) / 16 * 16; }
inline long int8_filter_size(int in, int out) { return 9l * ((in + 3) / 4) * int8_outputs(out) * 4; }

// weight [3][3][in][out] -> [panel of two vectors of outputs][tap][4 inputs][output][input]; the last panel may have one
void pack_int8_filters(const int8_t* weight, int in, int out, int8_t* filters);

const Int8Kernels* int8_kernels();  // null without AVX-512 VNNI

}  // namespace nn
