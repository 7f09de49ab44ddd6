/* Poses cut out of frames and multiplied, frame by frame while they are in the cache.
 *
 * Poses are [bodies, frames, space, joints] with space 2 or 3; matrices are [bodies, space, space],
 * rows for the coordinates that go in; hit is [bodies, joints] or NULL (all joints). A frame is
 * written twice, end to end, so that what each plane gets from itself, from the next plane and from
 * the one after it are rows without a break: one pass of vector operations, in the order of the
 * array operations that do the same in linear.py and resample.py, so that the numbers agree.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FMA__) || defined(__aarch64__)
#define PLUS(a, b, c) __builtin_fmaf(a, b, c)
#else
#define PLUS(a, b, c) ((a) * (b) + (c))
#endif

/* weights[s] is what each coordinate is multiplied by that comes s planes later. */
static void weigh(ptrdiff_t space, ptrdiff_t joints, const float *restrict matrix,
                  const unsigned char *restrict hit, float *restrict weights)
{
    for (ptrdiff_t s = 0; s < space; s++)
        for (ptrdiff_t d = 0; d < space; d++) {
            float moved = matrix[(d + s) % space * space + d], stays = s == 0 ? 1.0f : 0.0f;
            for (ptrdiff_t v = 0; v < joints; v++)
                *weights++ = hit == NULL || hit[v] ? moved : stays;
        }
}

/* One frame, written twice, by its weights. */
static void multiply(ptrdiff_t space, ptrdiff_t joints, const float *restrict twice,
                     const float *restrict weights, float *restrict out)
{
    ptrdiff_t n = space * joints;
    const float *u = weights, *v = u + n, *w = v + n;
    const float *a = twice, *b = a + joints, *c = b + joints;
    if (space == 3)
        for (ptrdiff_t j = 0; j < n; j++) out[j] = PLUS(c[j], w[j], PLUS(b[j], v[j], a[j] * u[j]));
    else
        for (ptrdiff_t j = 0; j < n; j++) out[j] = PLUS(b[j], v[j], a[j] * u[j]);
}

/* work holds (space + 2) * n floats, n being space * joints. */
void linear(ptrdiff_t bodies, ptrdiff_t frames, ptrdiff_t space, ptrdiff_t joints,
            const float *restrict pose, const float *restrict matrix,
            const unsigned char *restrict hit, float *restrict work, float *restrict out)
{
    ptrdiff_t n = space * joints;
    float *weights = work, *twice = work + space * n;
    for (ptrdiff_t r = 0; r < bodies; r++) {
        weigh(space, joints, matrix + r * space * space, hit ? hit + r * joints : NULL, weights);
        for (ptrdiff_t t = 0; t < frames; t++, pose += n, out += n) {
            memcpy(twice, pose, n * sizeof *pose);
            memcpy(twice + n, pose, n * sizeof *pose);
            multiply(space, joints, twice, weights, out);
        }
    }
}

/* Each frame of the result lies between two frames (rows, by their shares, both
 * [bodies, count, 2]), and is multiplied. work holds (space + 2) * n floats. */
void cut(ptrdiff_t bodies, ptrdiff_t count, ptrdiff_t space, ptrdiff_t joints,
         const float *restrict frames, const int64_t *restrict rows, const float *restrict shares,
         const float *restrict matrix, const unsigned char *restrict hit, float *restrict work,
         float *restrict out)
{
    ptrdiff_t n = space * joints;
    float *weights = work, *twice = work + space * n;
    for (ptrdiff_t r = 0; r < bodies; r++) {
        weigh(space, joints, matrix + r * space * space, hit ? hit + r * joints : NULL, weights);
        for (ptrdiff_t t = 0; t < count; t++, rows += 2, shares += 2, out += n) {
            const float *p = frames + rows[0] * n, *q = frames + rows[1] * n;
            float x = shares[0], y = shares[1];
            for (ptrdiff_t j = 0; j < n; j++) twice[j] = twice[n + j] = PLUS(q[j], y, p[j] * x);
            multiply(space, joints, twice, weights, out);
        }
    }
}
