// Membranes of single-spike neurons over whole rows of sites, single precision, for CPUs: what
// train/methods/timing.py computes by cumsum, max_pool2d and cummax, in one pass.
//
// x: [T,B,C,H,W] currents, in which an input that has fired stays. For each channel the membrane
// is v[t] = gain * (x[0] + .. + x[t]) + offset * (t+1)(t+2)/2. best: [T,B,C,H/k,W/k] the largest
// membrane of the window so far; where: step * k * k + place in the window, of that membrane.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

struct Spec {
    int64_t steps, batch, channels, height, width, pool;
};

inline float ramp(int64_t t) { return 0.5f * static_cast<float>((t + 1) * (t + 2)); }

}  // namespace

extern "C" void time_forward(const Spec *spec, const float *x, const float *gain,
                             const float *offset, float *best, int16_t *where) {
    const Spec &s = *spec;
    const int64_t n = s.height * s.width, rows = s.batch * s.channels, k = s.pool;
    const int64_t ph = s.height / k, pw = s.width / k, m = ph * pw;
    std::vector<float> sum(n), v(n), top(m), high(s.width), down(s.width);
    std::vector<float> from(m);  // as floats: the loops then keep one width
    for (int64_t r = 0; r < rows; r++) {
        const float a = gain[r % s.channels], b = offset[r % s.channels];
        std::fill(sum.begin(), sum.end(), 0.0f);
        std::fill(top.begin(), top.end(), -std::numeric_limits<float>::infinity());
        for (int64_t t = 0; t < s.steps; t++) {
            const float *in = x + (t * rows + r) * n;
            const float start = b * ramp(t);
            for (int64_t i = 0; i < n; i++) {
                sum[i] += in[i];
                v[i] = a * sum[i] + start;
            }
            const float code = static_cast<float>(t * k * k);
            if (k == 1) {
                for (int64_t i = 0; i < n; i++) {
                    const bool more = v[i] > top[i];
                    top[i] = more ? v[i] : top[i];
                    from[i] = more ? code : from[i];
                }
            } else {
                for (int64_t y = 0; y < ph; y++) {
                    const float *row = &v[y * k * s.width];
                    std::copy(row, row + s.width, high.begin());
                    std::fill(down.begin(), down.end(), code);
                    for (int64_t dy = 1; dy < k; dy++) {
                        row += s.width;
                        const float here = code + static_cast<float>(dy * k);
                        for (int64_t z = 0; z < s.width; z++) {
                            const bool more = row[z] > high[z];
                            high[z] = more ? row[z] : high[z];
                            down[z] = more ? here : down[z];
                        }
                    }
                    float *best_y = &top[y * pw], *from_y = &from[y * pw];
                    for (int64_t dx = 0; dx < k; dx++) {
                        const float right = static_cast<float>(dx);
                        for (int64_t z = 0; z < pw; z++) {
                            const float u = high[z * k + dx];
                            const bool more = u > best_y[z];
                            best_y[z] = more ? u : best_y[z];
                            from_y[z] = more ? down[z * k + dx] + right : from_y[z];
                        }
                    }
                }
            }
            std::copy(top.begin(), top.end(), best + (t * rows + r) * m);
            int16_t *to = where + (t * rows + r) * m;
            for (int64_t i = 0; i < m; i++) to[i] = static_cast<int16_t>(from[i]);
        }
    }
}

// grad: of best. Gives gx, and for each channel the sums of grad * best and grad * ramp(step).
extern "C" void time_backward(const Spec *spec, const float *grad, const float *best,
                              const int16_t *where, const float *gain, float *gx, double *by_best,
                              double *by_ramp) {
    const Spec &s = *spec;
    const int64_t n = s.height * s.width, rows = s.batch * s.channels, k = s.pool;
    const int64_t ph = s.height / k, pw = s.width / k, m = ph * pw;
    std::vector<float> gv(s.steps * n), weight(s.steps * k * k);
    std::vector<int64_t> place(s.steps * k * k);
    for (int64_t code = 0; code < s.steps * k * k; code++) {
        const int64_t in = code % (k * k);
        weight[code] = ramp(code / (k * k));
        place[code] = code / (k * k) * n + in / k * s.width + in % k;
    }
    for (int64_t r = 0; r < rows; r++) {
        const int64_t c = r % s.channels;
        std::fill(gv.begin(), gv.end(), 0.0f);
        float a = 0, b = 0;
        for (int64_t t = 0; t < s.steps; t++) {
            const float *g = grad + (t * rows + r) * m, *top = best + (t * rows + r) * m;
            const int16_t *from = where + (t * rows + r) * m;
            for (int64_t y = 0; y < ph; y++) {
                for (int64_t z = 0; z < pw; z++) {
                    const float d = g[y * pw + z];
                    const int64_t code = from[y * pw + z];
                    gv[place[code] + y * k * s.width + z * k] += d;
                    a += d * top[y * pw + z];
                    b += d * weight[code];
                }
            }
        }
        by_best[c] += a;
        by_ramp[c] += b;
        const float times = gain[c];
        for (int64_t t = s.steps - 1; t >= 0; t--) {
            float *now = &gv[t * n], *out = gx + (t * rows + r) * n;
            const float *later = &gv[(t + 1 < s.steps ? t + 1 : t) * n];
            const float keep = t + 1 < s.steps ? 1.0f : 0.0f;
            for (int64_t i = 0; i < n; i++) {
                now[i] += keep * later[i];
                out[i] = times * now[i];
            }
        }
    }
}
