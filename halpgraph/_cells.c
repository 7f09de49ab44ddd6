/* What a step of GRU cells does apart from its matrix product, number by number, in one pass.
 *
 * Cells stand side by side: gates are [cells, frames, clips, 3 * hidden] (reset, update, new), inner
 * is [cells, frames, clips, hidden]; out and its slopes are [frames, clips, cells, hidden], a frame
 * being far and a clip near numbers from the next.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* e^x to a few units in the last place; beyond +-87 as there. What is no number stays so: compilers
 * may take for granted that there is none, so its bits are looked at. */
static inline float exponential(float x)
{
    int32_t raw;
    memcpy(&raw, &x, sizeof raw);
    int32_t none = (raw & 0x7fffffff) > 0x7f800000 ? -1 : 0;
    x = x < -87.0f ? -87.0f : x;
    x = x > 87.0f ? 87.0f : x;
    int32_t k = (int32_t)(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f));
    float r = x - (float)k * 0.693359375f + (float)k * 2.12194440e-4f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t bits = (k + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    p *= scale;
    memcpy(&raw, &p, sizeof raw);
    raw |= none;
    memcpy(&p, &raw, sizeof p);
    return p;
}

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + exponential(-x));
}

/* Frame t, from what the state before gives, from_state [cells, clips, 3 * hidden]. bias is
 * [cells, 3 * hidden], b_new [cells, hidden]. */
void forward(ptrdiff_t cells, ptrdiff_t frames, ptrdiff_t clips, ptrdiff_t hidden, ptrdiff_t far,
             ptrdiff_t near, ptrdiff_t t, float *restrict gates, float *restrict inner,
             float *restrict out, const float *restrict from_state, const float *restrict bias,
             const float *restrict b_new)
{
    for (ptrdiff_t c = 0; c < cells; c++)
        for (ptrdiff_t b = 0; b < clips; b++) {
            ptrdiff_t row = (c * frames + t) * clips + b;
            float *restrict r = gates + row * 3 * hidden, *restrict z = r + hidden;
            float *restrict n = z + hidden, *restrict p = inner + row * hidden;
            const float *restrict s = from_state + (c * clips + b) * 3 * hidden;
            const float *restrict k = bias + c * 3 * hidden, *restrict m = b_new + c * hidden;
            float *restrict now = out + t * far + b * near + c * hidden;
            const float *restrict before = now - (t ? far : 0);
            for (ptrdiff_t h = 0; h < hidden; h++) {
                r[h] = sigmoid(r[h] + k[h] + s[h]);
                z[h] = sigmoid(z[h] + k[hidden + h] + s[hidden + h]);
            }
            for (ptrdiff_t h = 0; h < hidden; h++) {
                p[h] = s[2 * hidden + h] + m[h];
                n[h] = 2.0f * sigmoid(2.0f * (n[h] + k[2 * hidden + h] + r[h] * p[h])) - 1.0f;
            }
            if (t)
                for (ptrdiff_t h = 0; h < hidden; h++) now[h] = n[h] + z[h] * (before[h] - n[h]);
            else
                for (ptrdiff_t h = 0; h < hidden; h++) now[h] = n[h] - z[h] * n[h];
        }
}

/* Frame t of the way back. slopes [cells, some frames, clips, 4 * hidden] (inner product, reset,
 * update, new) are those of frames first and later, a cell being apart numbers from the next. state [cells, clips, hidden] holds the slopes of the
 * frame's output, and then those of the one before, but for what comes through the product. */
void backward(ptrdiff_t cells, ptrdiff_t frames, ptrdiff_t clips, ptrdiff_t hidden, ptrdiff_t far,
              ptrdiff_t near, ptrdiff_t t, ptrdiff_t apart, ptrdiff_t first,
              const float *restrict gates, const float *restrict inner, const float *restrict out,
              const float *restrict grad, float *restrict state, float *restrict slopes)
{
    for (ptrdiff_t c = 0; c < cells; c++)
        for (ptrdiff_t b = 0; b < clips; b++) {
            ptrdiff_t row = (c * frames + t) * clips + b;
            ptrdiff_t past = (t ? t - 1 : 0) * far + b * near + c * hidden;
            const float *restrict r = gates + row * 3 * hidden, *restrict z = r + hidden;
            const float *restrict n = z + hidden, *restrict p = inner + row * hidden;
            const float *restrict before = out + past, *restrict given = grad + past;
            float *restrict s = state + (c * clips + b) * hidden;
            float *restrict d = slopes + c * apart + ((t - first) * clips + b) * 4 * hidden;
            float have = t ? 1.0f : 0.0f;
            for (ptrdiff_t h = 0; h < hidden; h++) {
                float kept = s[h] * z[h];
                float d_new = (s[h] - kept) * (1.0f - n[h] * n[h]);
                d[3 * hidden + h] = d_new;
                d[2 * hidden + h] = (have * before[h] - n[h]) * s[h] * z[h] * (1.0f - z[h]);
                d[hidden + h] = d_new * p[h] * r[h] * (1.0f - r[h]);
                d[h] = d_new * r[h];
                s[h] = kept + have * given[h];
            }
        }
}
