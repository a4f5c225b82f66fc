// What one instruction set offers: kernels over raw float32 arrays, one thread, no allocation, no exceptions.
//
// isa.cpp is compiled once per instruction set and fills one `Kernels` table; nothing else in the package contains
// instructions that an old processor lacks. Arrays are dense NHWC, filters [3][3][in][out], all sizes positive.
#pragma once

namespace nn {

// Winograd's F(rows x cols, 3 x 3): outputs of one tile, each 2, 3 or 4.
struct Tile {
    int rows, cols;
};

// One 3x3 convolution, stride 1, same padding.
struct Conv {
    int rows, cols, in, out;
    Tile tile;

    int tiles() const { return ((rows + tile.rows - 1) / tile.rows) * ((cols + tile.cols - 1) / tile.cols); }
    int positions() const { return (tile.rows + 2) * (tile.cols + 2); }  // of a tile in transformed space
    long points() const { return long(rows) * cols; }
};

// The tile with the fewest products for this board; a larger one must save more than 15 % along its axis, because its
// transforms cost more.
Tile best_tile(int rows, int cols);

// What happens to an output while it is in registers: + bias [out] + residual (as the output), then ReLU.
struct Epilogue {
    const float* bias;      // or null
    const float* residual;  // or null
    bool relu;
};

struct Kernels {
    const char* isa;
    int lanes;

    // 3x3 convolution by Winograd. `filters` are in transformed space, see filter_size.
    void (*transform_filters)(const Conv&, const float* weight, float* filters);
    void (*convolve)(const Conv&, const float* x, const float* filters, Epilogue, float* y, int boards, float* scratch);
    // Adds the gradient of these boards to `gradient`, the filter's gradient in transformed space.
    void (*weight_gradient)(const Conv&, const float* x, const float* g, float* gradient, int boards, float* scratch);
    void (*restore_gradient)(const Conv&, const float* gradient, float* weight_gradient);

    // y [rows][out] = x [rows][in] weight [in][out], then bias and ReLU of the epilogue
    void (*dense)(const float* x, const float* weight, Epilogue, float* y, long rows, int in, int out);

    // mean [channels] and maximum [channels] of x [points][channels]
    void (*global_pool)(const float* x, long points, int channels, float* mean, float* peak);

    // Batch normalisation over [rows][channels]; sums are added to.
    void (*moments)(const float* y, const float* shift, long rows, int channels, double* sum, double* square);
    void (*normalise)(const float* y, const float* mean, const float* scale, const float* beta, Epilogue, float* out,
                      long rows, int channels);
    // sum of g, sum of g (y - mean), counting only where `out` > 0 if out is given
    void (*gradient_sums)(const float* g, const float* out, const float* y, const float* mean, long rows, int channels,
                          double* sum, double* product);
    // gy = scale g + slope (y - mean) + constant with g as above; g itself goes to `masked` if given
    void (*gradient_apply)(const float* g, const float* out, const float* y, const float* mean, const float* scale,
                           const float* slope, const float* constant, float* gy, float* masked, long rows, int channels);

    // Channels are padded to whole vectors in transformed space.
    int padded(int channels) const { return (channels + lanes - 1) / lanes * lanes; }
    long filter_size(const Conv& c) const { return long(c.positions()) * c.in * padded(c.out); }
    long plane(const Conv& c, int channels, int boards) const;  // floats of one tile position, all tiles
    long scratch_size(const Conv& c, int boards) const;         // floats that convolve and weight_gradient need
};

// One line beyond the tiles, so that the positions of a tile do not all fall into one set of the cache.
inline long Kernels::plane(const Conv& c, int channels, int boards) const {
    return long(c.tiles()) * boards * padded(channels) + 16;
}
inline long Kernels::scratch_size(const Conv& c, int boards) const {
    return c.positions() * (plane(c, c.in, boards) + plane(c, c.out, boards)) + padded(c.in > c.out ? c.in : c.out);
}

// The tables that this build contains and this processor can run, best first; null below AVX2.
const Kernels* best_kernels();
const Kernels* find_kernels(const char* isa);  // null if unknown or not supported here

}  // namespace nn
