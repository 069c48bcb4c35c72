// The loop of train/module/scan.py over whole rows of sites, single precision, for CPUs.
//
// Same order of operations as the torch code in scan.py (tests compare them bit for bit). The
// backward pass computes the membranes again from x: x is kept by autograd anyway, and for direct
// images it is T times smaller than the membranes.
//
// x: [Tx,B,C,S] with Tx = T or 1 (constant current); spikes, grad: [T,B,C,S]; per channel: [C].

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

enum Reset { SUBTRACT = 0, ZERO = 1, NONE = 2 };

struct Spec {
    int64_t steps, batch, channels, sites, constant, reset, rounding, membrane;
    float leak;
};

template <bool ROUND>
inline float decay(float v, float leak) {
    return ROUND ? std::floor(v * leak + 0.5f) : v * leak;
}

// Membrane after one step's input, before the reset, for one row of sites.
inline void advance(const Spec &s, float *v, const float *x, float *u) {
    const int64_t n = s.sites;
    if (s.leak == 1.0f) {
        for (int64_t k = 0; k < n; k++) u[k] = v[k] + x[k];
    } else if (s.rounding) {
        for (int64_t k = 0; k < n; k++) u[k] = decay<true>(v[k], s.leak) + x[k];
    } else {
        for (int64_t k = 0; k < n; k++) u[k] = decay<false>(v[k], s.leak) + x[k];
    }
}

inline void reset(const Spec &s, const float *u, float *v, float threshold, float back) {
    const int64_t n = s.sites;
    if (s.reset == SUBTRACT) {
        for (int64_t k = 0; k < n; k++) v[k] = u[k] - (u[k] >= threshold ? back : 0.0f);
    } else if (s.reset == ZERO) {
        for (int64_t k = 0; k < n; k++) v[k] = u[k] >= threshold ? 0.0f : u[k];
    } else {
        for (int64_t k = 0; k < n; k++) v[k] = u[k];
    }
}

}  // namespace

extern "C" void scan_forward(const Spec *spec, const float *x, const float *threshold,
                             const float *back, const float *start, float *out) {
    const Spec &s = *spec;
    const int64_t n = s.sites, rows = s.batch * s.channels, step = rows * n;
    std::vector<float> v(n), u(n);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t c = r % s.channels;
        const float limit = threshold[c];
        for (int64_t k = 0; k < n; k++) v[k] = start[c];
        for (int64_t t = 0; t < s.steps; t++) {
            advance(s, v.data(), x + (s.constant ? 0 : t * step) + r * n, u.data());
            if (!s.membrane) {
                float *o = out + t * step + r * n;
                for (int64_t k = 0; k < n; k++) o[k] = u[k] >= limit ? 1.0f : 0.0f;
            }
            reset(s, u.data(), v.data(), limit, back[c]);
        }
        if (s.membrane)
            for (int64_t k = 0; k < n; k++) out[r * n + k] = u[k];
    }
}

// gx like x; g_threshold, g_back, g_start are added to, in double, per channel.
extern "C" void scan_backward(const Spec *spec, const float *x, const float *threshold,
                              const float *back, const float *start, const float *grad, float *gx,
                              double *g_threshold, double *g_back, double *g_start) {
    const Spec &s = *spec;
    const int64_t n = s.sites, rows = s.batch * s.channels, step = rows * n;
    std::vector<float> v(n), all(n * s.steps), gv(n);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t c = r % s.channels;
        const float limit = threshold[c];
        const float width = std::fmax(std::fabs(limit), 1e-6f), inverse = 1.0f / width;
        for (int64_t k = 0; k < n; k++) v[k] = start[c], gv[k] = 0.0f;
        for (int64_t t = 0; t < s.steps; t++) {
            float *u = all.data() + t * n;
            advance(s, v.data(), x + (s.constant ? 0 : t * step) + r * n, u);
            reset(s, u, v.data(), limit, back[c]);
        }
        float sum_t = 0.0f, sum_b = 0.0f, sum_s = 0.0f;
        for (int64_t t = s.steps - 1; t >= 0; t--) {
            const float *u = all.data() + t * n;
            float *g = gx + (s.constant ? 0 : t * step) + r * n;
            const bool first = s.constant && t < s.steps - 1;
            if (s.reset == SUBTRACT)
                for (int64_t k = 0; k < n; k++) sum_b -= u[k] >= limit ? gv[k] : 0.0f;
            else if (s.reset == ZERO)
                for (int64_t k = 0; k < n; k++) gv[k] = u[k] >= limit ? 0.0f : gv[k];
            if (s.membrane) {
                if (t == s.steps - 1)
                    for (int64_t k = 0; k < n; k++) gv[k] += grad[r * n + k];
            } else {
                const float *q = grad + t * step + r * n;
                for (int64_t k = 0; k < n; k++) {
                    const float near = 1.0f - std::fabs(u[k] - limit) * inverse;
                    const float z = (near > 0.0f ? near : 0.0f) * inverse * q[k];
                    sum_t -= z;
                    gv[k] += z;
                }
            }
            if (first)
                for (int64_t k = 0; k < n; k++) g[k] += gv[k];
            else
                for (int64_t k = 0; k < n; k++) g[k] = gv[k];
            if (s.leak != 1.0f)
                for (int64_t k = 0; k < n; k++) gv[k] *= s.leak;
        }
        for (int64_t k = 0; k < n; k++) sum_s += gv[k];
        g_threshold[c] += sum_t, g_back[c] += sum_b, g_start[c] += sum_s;
    }
}

namespace {

template <int K>  // a constant 2 lets the compiler use vectors; 0 is any k
void pool_rows(int64_t rows, int64_t height, int64_t width, int64_t any, const float *x,
               float *out) {
    const int64_t k = K ? K : any, oh = height / k, ow = width / k;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t y = 0; y < oh; y++) {
            float *o = out + (r * oh + y) * ow;
            const float *top = x + (r * height + y * k) * width;
            for (int64_t c = 0; c < ow; c++) {
                float sum = 0.0f;
                for (int64_t i = 0; i < k; i++)
                    for (int64_t j = 0; j < k; j++) sum += top[i * width + c * k + j];
                o[c] = sum;
            }
        }
}

template <int K>
void spread_rows(int64_t rows, int64_t height, int64_t width, int64_t any, const float *grad,
                 float *gx) {
    const int64_t k = K ? K : any, oh = height / k, ow = width / k;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t y = 0; y < height; y++) {
            float *g = gx + (r * height + y) * width;
            const bool inside = y < oh * k;
            const float *from = grad + (r * oh + (inside ? y / k : 0)) * ow;
            for (int64_t c = 0; c < ow; c++)
                for (int64_t j = 0; j < k; j++) g[c * k + j] = inside ? from[c] : 0.0f;
            for (int64_t c = ow * k; c < width; c++) g[c] = 0.0f;
        }
}

}  // namespace

// Sums of k x k blocks that do not overlap: x [rows,H,W] -> out [rows,H/k,W/k]; and back.
extern "C" void pool_forward(int64_t rows, int64_t height, int64_t width, int64_t k, const float *x,
                             float *out) {
    (k == 2 ? pool_rows<2> : pool_rows<0>)(rows, height, width, k, x, out);
}

extern "C" void pool_backward(int64_t rows, int64_t height, int64_t width, int64_t k,
                              const float *grad, float *gx) {
    (k == 2 ? spread_rows<2> : spread_rows<0>)(rows, height, width, k, grad, gx);
}

// Quantised clip of n values (train/module/nq.py): a = up * floor(clamp(x/up, 0, 1) * levels + 1/2) / levels.
extern "C" void clip_forward(int64_t n, float up, float levels, const float *x, float *out) {
    const float step = up / levels, times = levels / up;
    for (int64_t k = 0; k < n; k++) {
        const float z = std::fmin(std::fmax(x[k] * times, 0.0f), levels);
        out[k] = step * std::floor(z + 0.5f);
    }
}

// Straight through the floor: gx, and the gradient of up (returned).
extern "C" double clip_backward(int64_t n, float up, float levels, const float *x,
                                const float *grad, float *gx) {
    const float times = levels / up;
    double total = 0.0;
    for (int64_t start = 0; start < n; start += 4096) {
        const int64_t end = start + 4096 < n ? start + 4096 : n;
        float sum = 0.0f;
        for (int64_t k = start; k < end; k++) {
            const float z = std::fmin(std::fmax(x[k] * times, 0.0f), levels);
            // Not by the product: a compiler may take another quotient for ``times``, and up itself
            // is inside on every machine.
            const float inside = x[k] >= 0.0f && x[k] <= up ? 1.0f : 0.0f;
            gx[k] = inside * grad[k];
            sum += grad[k] * (std::floor(z + 0.5f) - inside * z);
        }
        total += sum;
    }
    return total / levels;
}
