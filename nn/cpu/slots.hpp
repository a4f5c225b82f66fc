// Buffers for the outputs of a stack of layers, each read by the next layer and perhaps by a later residual.
#pragma once

#include <algorithm>
#include <vector>

namespace nn {

// Residuals that are no layer's output.
constexpr int NO_RESIDUAL = -1, OUTSIDE = -2;

// residual[l]: the layer whose output layer l adds, or one of the above. Returns each output's buffer: one that no output still in
// use occupies. The number of buffers is the largest entry + 1.
inline std::vector<int> assign_slots(const std::vector<int>& residual) {
    const int count = int(residual.size());
    std::vector<int> last_use(count), slots(count), busy_until;
    for (int l = 0; l < count; l++) {
        last_use[l] = l + 1;
        if (residual[l] >= 0) last_use[residual[l]] = std::max(last_use[residual[l]], l);
    }
    for (int l = 0; l < count; l++) {
        const auto free = std::find_if(busy_until.begin(), busy_until.end(), [&](int until) { return until < l; });
        slots[l] = int(free - busy_until.begin());
        if (free == busy_until.end()) busy_until.push_back(last_use[l]);
        else *free = last_use[l];
    }
    return slots;
}

}  // namespace nn
