// Mean and maximum of each channel over a board, x [points][channels]. NaN stays NaN.
#pragma once

inline void global_pool(const float* x, long points, int channels, float* mean, float* peak) {
    each_vector(channels, [&](int c, auto part) {
        Vec sum = {}, most = part.load(x + c);
        for (long p = 0; p < points; p++) {
            const Vec v = part.load(x + p * channels + c);
            sum += v;
            most = (v > most) | (v != v) ? v : most;
        }
        part.store(mean + c, sum / float(points));
        part.store(peak + c, most);
    });
}
