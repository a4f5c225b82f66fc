// AMX's tile instructions in plain C++, so that nn/cpu/amx.cpp runs on any processor with AVX-512.
//
// From Intel's manual (volume 2, TDPBF16PS, TILELOADD, TILESTORED): 8 tiles of 16 rows of 64 bytes; the product adds,
// pair by pair, a[row][k] * b[k / 2][column][k % 2] in float32. One set of tiles per thread, as in the hardware.
#pragma once
#include <cstdint>
#include <cstring>

struct EmulatedTiles {
    bool configured = false;
    alignas(64) uint8_t bytes[8][16][64];

    void load(int t, const void* from, long stride) {
        check();
        for (int r = 0; r < 16; r++) std::memcpy(bytes[t][r], static_cast<const uint8_t*>(from) + r * stride, 64);
    }
    void store(int t, void* to, long stride) {
        check();
        for (int r = 0; r < 16; r++) std::memcpy(static_cast<uint8_t*>(to) + r * stride, bytes[t][r], 64);
    }
    static float value(const uint8_t* p) {
        uint16_t half;
        std::memcpy(&half, p, 2);
        const uint32_t bits = uint32_t(half) << 16;
        float f;
        std::memcpy(&f, &bits, 4);
        return f;
    }
    void multiply(int c, int a, int b) {
        check();
        for (int m = 0; m < 16; m++)
            for (int n = 0; n < 16; n++) {
                float sum;
                std::memcpy(&sum, bytes[c][m] + 4 * n, 4);
                for (int k = 0; k < 32; k++) sum += value(bytes[a][m] + 2 * k) * value(bytes[b][k / 2] + 4 * n + 2 * (k % 2));
                std::memcpy(bytes[c][m] + 4 * n, &sum, 4);
            }
    }
    void check() const {
        if (!configured) __builtin_trap();
    }
};
static thread_local EmulatedTiles emulated;

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig(config) (void)(config), emulated.configured = true
#define _tile_release() emulated.configured = false
#define _tile_zero(t) std::memset(emulated.bytes[t], 0, sizeof emulated.bytes[t])
#define _tile_loadd(t, from, stride) emulated.load(t, from, stride)
#define _tile_stored(t, to, stride) emulated.store(t, to, stride)
#define _tile_dpbf16ps(c, a, b) emulated.multiply(c, a, b)
