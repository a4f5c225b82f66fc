#include "amx_engine.hpp"

#include <cstring>
#include <unistd.h>
#if defined(__linux__) && defined(HAVE_AMX_KERNELS)
#include <cpuid.h>
#include <sys/syscall.h>
#endif

#include "pool.hpp"
#include "slots.hpp"

namespace nn {

#if defined(__linux__) && defined(HAVE_AMX_KERNELS)
extern const AmxKernels amx;

// The processor's bits (leaf 7: AMX-TILE, AMX-BF16; AVX512-BF16 in subleaf 1) and the kernel's permission for this
// process to use the tile registers (arch_prctl ARCH_REQ_XCOMP_PERM).
static bool amx_permitted() {
    unsigned a, b, c, d;
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 22 & 1)) return false;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1)) return false;
    constexpr long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
const AmxKernels* amx_kernels() {
    static const bool permitted = amx_permitted();
    return permitted ? &amx : nullptr;
}
#elif !defined(AMX_EMULATION)
const AmxKernels* amx_kernels() { return nullptr; }
#endif

namespace {

constexpr long CACHE_BYTES = 1 << 20;  // for the activations of a slice; processors with AMX have 2 MB per core

int boards_per_slice(long bytes_per_board) { return int(std::clamp(CACHE_BYTES / bytes_per_board, 1l, 64l)); }

std::vector<int32_t> dense_rows(const FlatBoards& shape, int boards) {
    std::vector<int32_t> index(shape.span(boards), -1);
    int32_t next = 0;
    for (int n = 0; n < boards; n++)
        for (int r = 0; r < shape.rows; r++)
            for (int c = 0; c < shape.cols; c++) index[n * shape.board() + r * shape.pitch() + c] = next++;
    return index;
}

// Values of a flat list with its guards; the list itself begins guard() positions later.
long list_size(const FlatBoards& shape, int channels, int boards) {
    return (shape.span(boards) + 2 * shape.guard()) * amx_channels(channels);
}

Bf16* aligned_scratch(long values) { return reinterpret_cast<Bf16*>(scratch((values + 1) / 2)); }

// f(thread, first board, boards, memory) over each thread's share, `block` boards at a time, tiles configured
template <class F>
void each_block(const AmxKernels& k, int boards, int block, int threads, long values, F f) {
    parallel(threads, [&](int id) {
        Bf16* memory = aligned_scratch(values);
        k.begin();
        const Share share(boards, id, threads);
        for (long b = share.begin; b < share.end; b += block)
            f(id, b, int(std::min<long>(block, share.end - b)), memory);
        k.end();
    });
}

}  // namespace

void amx_conv3x3(const AmxKernels& k, int rows, int cols, const float* x, const float* weight, const float* bias, float* y,
                 int in, int out, int boards, int threads) {
    const FlatBoards shape{rows, cols};
    threads = std::max(1, std::min(threads, boards));
    std::vector<Bf16> filters(amx_filter_size(in, out));
    k.pack_filters(weight, in, out, filters.data());
    std::vector<float> padded(amx_channels(out));
    if (bias) std::copy(bias, bias + out, padded.begin());
    const int block = boards_per_slice(list_size(shape, in, 1) * sizeof(Bf16));
    const auto dense_row = dense_rows(shape, block);
    const long points = long(rows) * cols;
    each_block(k, boards, block, threads, list_size(shape, in, block), [&](int, long b, int n, Bf16* memory) {
        Bf16* list = memory + shape.guard() * amx_channels(in);
        k.flatten(shape, x + b * points * in, in, n, list);
        k.convolve(shape, list, in, filters.data(), out, n,
                   {padded.data(), nullptr, false, nullptr, y + b * points * out, out, dense_row.data()});
    });
}

void amx_grad_weight(const AmxKernels& k, int rows, int cols, const float* x, const float* g, float* gradient, int in,
                     int out, int boards, int threads) {
    const FlatBoards shape{rows, cols};
    threads = std::max(1, std::min(threads, boards));
    const int in_padded = amx_channels(in), out_padded = amx_channels(out);
    const long size = 9l * in_padded * out_padded, points = long(rows) * cols;
    std::vector<float> parts(size * threads);
    const int block = boards_per_slice((list_size(shape, in, 1) + list_size(shape, out, 1)) * sizeof(Bf16));
    each_block(k, boards, block, threads, amx_gradient_scratch(shape, in, out, block),
               [&](int id, long b, int n, Bf16* memory) {
                   k.weight_gradient(shape, x + b * points * in, in, g + b * points * out, out, n,
                                     parts.data() + id * size, memory);
               });
    for (int t = 1; t < threads; t++)
        for (long i = 0; i < size; i++) parts[i] += parts[t * size + i];
    for (int tap = 0; tap < 9; tap++)
        for (int i = 0; i < in; i++)
            std::memcpy(gradient + (long(tap) * in + i) * out, parts.data() + (long(tap) * in_padded + i) * out_padded,
                        out * sizeof(float));
}

void AmxTower::add(const float* weight, const float* bias, int in, int out, int residual, bool relu) {
    Layer layer{in, out, residual, relu, std::vector<Bf16>(amx_filter_size(in, out)),
                std::vector<float>(amx_channels(out))};
    kernels_.pack_filters(weight, in, out, layer.filters.data());
    std::copy(bias, bias + out, layer.bias.begin());
    if (residual == OUTSIDE) outside_channels_ = out;
    layers_.push_back(std::move(layer));
    plan();
}

void AmxTower::plan() {
    std::vector<int> residual;
    int widest = layers_.front().in;
    for (const Layer& layer : layers_) residual.push_back(layer.residual), widest = std::max(widest, layer.out);
    const std::vector<int> slots = assign_slots(residual);
    for (size_t l = 0; l < layers_.size(); l++) layers_[l].slot = slots[l];
    slots_ = 1 + *std::max_element(slots.begin(), slots.end());
    slice_ = boards_per_slice(lists() * shape_.board() * amx_channels(widest) * sizeof(Bf16));
    slot_size_ = (list_size(shape_, widest, slice_) + 31) / 32 * 32;
    dense_row_ = dense_rows(shape_, slice_);
}

void AmxTower::run_slice(const float* x, const float* outside, float* y, int boards, Bf16* memory) const {
    const auto list = [&](int slot, int channels) {
        return memory + slot * slot_size_ + shape_.guard() * amx_channels(channels);
    };
    int channels = layers_.front().in;
    const Bf16* input = list(slots_, channels);
    kernels_.flatten(shape_, x, channels, boards, list(slots_, channels));
    if (outside_channels_)
        kernels_.flatten(shape_, outside, outside_channels_, boards, list(slots_ + 1, outside_channels_));
    const auto source = [&](int residual) -> const Bf16* {
        if (residual == NO_RESIDUAL) return nullptr;
        return residual == OUTSIDE ? list(slots_ + 1, outside_channels_)
                                   : list(layers_[residual].slot, layers_[residual].out);
    };
    for (const Layer& layer : layers_) {
        const bool last = &layer == &layers_.back();
        Bf16* out = last ? nullptr : list(layer.slot, layer.out);
        if (out) {
            const long guard = shape_.guard() * amx_channels(layer.out);
            std::memset(out - guard, 0, guard * sizeof(Bf16));
            std::memset(out + shape_.span(boards) * amx_channels(layer.out), 0, guard * sizeof(Bf16));
        }
        kernels_.convolve(shape_, input, layer.in, layer.filters.data(), layer.out, boards,
                          {layer.bias.data(), source(layer.residual), layer.relu, out, y, layer.out, dense_row_.data()});
        input = out;
    }
}

void AmxTower::run(const float* x, const float* outside, float* y, int boards, int threads) {
    if (layers_.empty()) return;
    const long points = long(shape_.rows) * shape_.cols;
    const int in = layers_.front().in, out = layers_.back().out;
    threads = std::max(1, std::min(threads, boards));
    each_block(kernels_, boards, slice_, threads, lists() * slot_size_, [&](int, long b, int n, Bf16* memory) {
        run_slice(x + b * points * in, outside + b * points * outside_channels_, y + b * points * out, n, memory);
    });
}

}  // namespace nn
