/* Sequential minimal optimisation of the support vector machine's dual, one C at a time:
 *
 *     min over b   1/2 b'Kb - y'b   with  sum b = 0,  0 <= y b <= C,      g = Kb - y
 *
 * The pair to move is picked by second-order information and the stopping rule is that of LIBSVM
 * (Fan, Chen and Lin, "Working set selection using second order information for training support
 * vector machines", JMLR 6, 2005, WSS 2), so that the answers agree within its tolerance. What
 * differs is that every pass over the variables is free of branches, for vector units to do, and
 * that b and g may come from the solution for a smaller C.
 */
#include <stddef.h>

#define FAR 1e30
#define BLOCK 256

/* Bounds: `up` is 0 where b may grow and FAR where it may not; `down` likewise. */
static void mark(ptrdiff_t t, const double *y, double C, const double *b, double *up, double *down)
{
    up[t] = b[t] < (y[t] > 0 ? C : 0.0) ? 0.0 : FAR;
    down[t] = b[t] > (y[t] > 0 ? 0.0 : -C) ? 0.0 : FAR;
}

/* g += step (p - q); returns the least g that may grow, its position, the greatest that may sink. */
static void sweep(ptrdiff_t n, double step, const float *restrict p, const float *restrict q,
                  const double *restrict up, const double *restrict down, double *restrict g,
                  float *restrict sinkable, double *low, ptrdiff_t *where, double *high)
{
    double least = 2 * FAR, most = -2 * FAR;
    ptrdiff_t block = 0;
    for (ptrdiff_t s = 0; s < n; s += BLOCK) {
        ptrdiff_t e = s + BLOCK < n ? s + BLOCK : n;
        double a = 2 * FAR, z = -2 * FAR;
        for (ptrdiff_t t = s; t < e; t++) {
            double v = g[t] + step * ((double)p[t] - (double)q[t]);
            double grow = v + up[t], sink = v - down[t];
            g[t] = v;
            sinkable[t] = (float)sink;
            a = grow < a ? grow : a;
            z = sink > z ? sink : z;
        }
        if (a < least) { least = a; block = s; }
        most = z > most ? z : most;
    }
    ptrdiff_t i = block;
    while (i < n - 1 && g[i] + up[i] > least) i++;
    *low = least; *where = i; *high = most;
}

/* The partner of i that lowers the objective most. */
static ptrdiff_t partner(ptrdiff_t n, float low, float own, const float *restrict row,
                         const float *restrict diag, const float *restrict sinkable,
                         float *restrict gain)
{
    float most = -1.0f;
    ptrdiff_t block = 0;
    for (ptrdiff_t s = 0; s < n; s += BLOCK) {
        ptrdiff_t e = s + BLOCK < n ? s + BLOCK : n;
        float best = -1.0f;
        for (ptrdiff_t t = s; t < e; t++) {
            float gap = sinkable[t] - low;
            float curve = own + diag[t] - 2.0f * row[t];
            gap = gap > 0.0f ? gap : 0.0f;
            curve = curve > 1e-12f ? curve : 1e-12f;
            float v = gap * gap / curve;
            gain[t] = v;
            best = v > best ? v : best;
        }
        if (best > most) { most = best; block = s; }
    }
    ptrdiff_t j = block;
    while (j < n - 1 && gain[j] < most) j++;
    return j;
}

/* Returns the number of steps; b and g are read and written, work holds 3 n doubles. */
ptrdiff_t smo(ptrdiff_t n, const float *K, const float *diag, const double *y, double C, double tol,
              ptrdiff_t limit, double *b, double *g, double *work, double *bounds)
{
    double *up = work, *down = work + n, low, high;
    float *sinkable = (float *)(work + 2 * n), *gain = sinkable + n;
    ptrdiff_t i, steps = 0;
    for (ptrdiff_t t = 0; t < n; t++) mark(t, y, C, b, up, down);
    sweep(n, 0.0, K, K, up, down, g, sinkable, &low, &i, &high);
    for (; high - low >= tol && steps < limit; steps++) {
        const float *row = K + i * n;
        ptrdiff_t j = partner(n, (float)low, diag[i], row, diag, sinkable, gain);
        double curve = (double)diag[i] + diag[j] - 2.0 * row[j];
        double top = y[i] > 0 ? C : 0.0, floor = y[j] > 0 ? 0.0 : -C;
        double roomi = top - b[i], roomj = b[j] - floor;
        double step = (g[j] - g[i]) / (curve > 1e-12 ? curve : 1e-12);
        step = step < roomi ? step : roomi;
        step = step < roomj ? step : roomj;
        b[i] = step == roomi ? top : b[i] + step;
        b[j] = step == roomj ? floor : b[j] - step;
        mark(i, y, C, b, up, down);
        mark(j, y, C, b, up, down);
        sweep(n, step, row, K + j * n, up, down, g, sinkable, &low, &i, &high);
    }
    bounds[0] = low;
    bounds[1] = high;
    return steps;
}
