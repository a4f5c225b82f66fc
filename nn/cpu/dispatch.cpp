#include <cstring>

#include "kernels.hpp"

namespace nn {

#ifdef HAVE_X86_KERNELS
extern const Kernels avx512, avx2;

static bool supported(const Kernels& k) {
    __builtin_cpu_init();
    if (&k == &avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static const Kernels* const tables[] = {&avx512, &avx2};
#else
static bool supported(const Kernels&) { return false; }
static const Kernels* const tables[] = {nullptr};
#endif

const Kernels* best_kernels() {
    for (const Kernels* k : tables)
        if (k && supported(*k)) return k;
    return nullptr;
}

const Kernels* find_kernels(const char* isa) {
    for (const Kernels* k : tables)
        if (k && !std::strcmp(k->isa, isa) && supported(*k)) return k;
    return nullptr;
}

}  // namespace nn
