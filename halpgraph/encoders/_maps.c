/* Batch norm, a residual connection and ReLU of maps, in as few passes over memory as there can be.
 *
 * Maps are rows [groups, per, channels]; offset [groups, channels] is added to the rows of each
 * group beforehand. A residual map is added as it is, or normalised too.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#define BLOCK 64 /* rows that stay in the cache between two looks at them */

/* Sums, and sums of squared deviations from the block's own mean, of a block. */
static void block_moments(ptrdiff_t rows, ptrdiff_t channels, const float *restrict x,
                          float *restrict sums, float *restrict spread)
{
    for (ptrdiff_t c = 0; c < channels; c++) sums[c] = spread[c] = 0;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < channels; c++) sums[c] += x[r * channels + c];
    float share = 1.0f / (float)rows;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < channels; c++) {
            float apart = x[r * channels + c] - sums[c] * share;
            spread[c] += apart * apart;
        }
}

/* What batch norm makes of maps: x * scale + shift, with centre, the mean without each group's
 * offset, and std; and each group's sums, without offset. Running moments go on by momentum, unless
 * they are NULL. Offset, centre and shift are [groups, channels], sums too, all else is [channels];
 * work holds 2 * channels. */
void moments(ptrdiff_t groups, ptrdiff_t per, ptrdiff_t channels, const float *restrict x,
             const float *restrict offset, const float *restrict weight, const float *restrict bias,
             double eps, double momentum, float *restrict running_mean,
             float *restrict running_var, float *restrict work, double *restrict sums,
             double *restrict mean, double *restrict std, float *restrict scale,
             float *restrict centre, float *restrict shift)
{
    double seen = 0, count = (double)groups * per, unbiased = count > 1 ? count - 1 : 1;
    memset(sums, 0, groups * channels * sizeof *sums);
    memset(mean, 0, channels * sizeof *mean);
    memset(std, 0, channels * sizeof *std);
    for (ptrdiff_t g = 0; g < groups; g++)
        for (ptrdiff_t first = 0; first < per; first += BLOCK) {
            ptrdiff_t rows = per - first < BLOCK ? per - first : BLOCK;
            block_moments(rows, channels, x + (g * per + first) * channels, work, work + channels);
            for (ptrdiff_t c = 0; c < channels; c++) {
                double apart = work[c] / (double)rows + offset[g * channels + c] - mean[c];
                double share = rows / (seen + rows);
                sums[g * channels + c] += work[c];
                mean[c] += apart * share;
                std[c] += work[channels + c] + apart * apart * seen * share;
            }
            seen += rows;
        }
    for (ptrdiff_t c = 0; c < channels; c++) {
        if (running_mean) running_mean[c] += momentum * (mean[c] - running_mean[c]);
        if (running_var) running_var[c] += momentum * (std[c] / unbiased - running_var[c]);
        std[c] = sqrt(std[c] / count + eps);
        scale[c] = weight[c] / std[c];
    }
    for (ptrdiff_t g = 0; g < groups; g++)
        for (ptrdiff_t c = 0; c < channels; c++) {
            centre[g * channels + c] = mean[c] - offset[g * channels + c];
            shift[g * channels + c] = bias[c] - centre[g * channels + c] * scale[c];
        }
}

/* y = max(x * scale + shift + residual, 0), the residual by a scale of its own or as it is; scale is
 * [channels], shift [groups, channels], with all offsets in it. */
void apply(ptrdiff_t groups, ptrdiff_t per, ptrdiff_t channels, const float *restrict x,
           const float *restrict scale, const float *restrict shift, const float *restrict residual,
           const float *restrict residual_scale, float *restrict y)
{
    for (ptrdiff_t g = 0; g < groups; g++, shift += channels)
        for (ptrdiff_t r = 0; r < per; r++, x += channels, y += channels) {
            if (residual == NULL)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    float v = x[c] * scale[c] + shift[c];
                    y[c] = v > 0 ? v : 0;
                }
            else if (residual_scale == NULL)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    float v = x[c] * scale[c] + (shift[c] + residual[c]);
                    y[c] = v > 0 ? v : 0;
                }
            else
                for (ptrdiff_t c = 0; c < channels; c++) {
                    float v = x[c] * scale[c] + (shift[c] + residual[c] * residual_scale[c]);
                    y[c] = v > 0 ? v : 0;
                }
            residual = residual ? residual + channels : NULL;
        }
}

/* Sums over each group's rows of the slopes that ReLU lets through, and of those times x (and times
 * a residual map), x counted from centre [groups, channels]. sums is [2 or 3, groups, channels];
 * work holds 3 * channels. */
void slope_sums(ptrdiff_t groups, ptrdiff_t per, ptrdiff_t channels, const float *restrict slope,
                const float *restrict y, const float *restrict x, const float *restrict centre,
                const float *restrict residual, const float *restrict residual_centre,
                float *restrict work, double *restrict sums)
{
    ptrdiff_t all = groups * channels;
    float *restrict s = work, *restrict q = s + channels, *restrict p = q + channels;
    memset(sums, 0, (residual ? 3 : 2) * all * sizeof *sums);
    for (ptrdiff_t g = 0; g < groups; g++, sums += channels, centre += channels) {
        for (ptrdiff_t first = 0; first < per; first += BLOCK) {
            ptrdiff_t rows = per - first < BLOCK ? per - first : BLOCK;
            memset(work, 0, 3 * channels * sizeof *work);
            for (ptrdiff_t r = 0; r < rows; r++, slope += channels, y += channels, x += channels) {
                if (residual) {
                    for (ptrdiff_t c = 0; c < channels; c++) {
                        float through = y[c] > 0 ? slope[c] : 0;
                        s[c] += through;
                        q[c] += through * (x[c] - centre[c]);
                        p[c] += through * (residual[c] - residual_centre[c]);
                    }
                    residual += channels;
                } else
                    for (ptrdiff_t c = 0; c < channels; c++) {
                        float through = y[c] > 0 ? slope[c] : 0;
                        s[c] += through;
                        q[c] += through * (x[c] - centre[c]);
                    }
            }
            for (ptrdiff_t c = 0; c < channels; c++) {
                sums[c] += s[c];
                sums[all + c] += q[c];
                if (residual) sums[2 * all + c] += p[c];
            }
        }
        if (residual) residual_centre += channels;
    }
}

/* From those sums: what of x (along) and what else (shift) belongs to the slopes of x, and the slopes
 * of each group's offset, of the weight and of the bias. */
void shares(ptrdiff_t groups, ptrdiff_t per, ptrdiff_t channels, const double *restrict through,
            const double *restrict products, const double *restrict sums,
            const double *restrict std, const float *restrict scale, const float *restrict centre,
            float *restrict along, float *restrict shift, float *restrict d_offset,
            float *restrict d_weight, float *restrict d_bias)
{
    double count = (double)groups * per;
    for (ptrdiff_t c = 0; c < channels; c++) {
        double all = 0, product = 0;
        for (ptrdiff_t g = 0; g < groups; g++) {
            all += through[g * channels + c];
            product += products[g * channels + c];
        }
        d_bias[c] = all;
        d_weight[c] = product / std[c];
        double slant = -scale[c] * product / (std[c] * std[c] * count);
        along[c] = slant;
        for (ptrdiff_t g = 0; g < groups; g++) {
            ptrdiff_t at = g * channels + c;
            double rest = -scale[c] * all / count - slant * centre[at];
            shift[at] = rest;
            d_offset[at] = scale[c] * through[at] + slant * sums[at] + per * rest;
        }
    }
}

/* d_x = let through * scale + x * along + shift, and the same of a residual map; without
 * residual_scale its slopes are what is let through. along is [channels], shift [groups, channels]. */
void slopes(ptrdiff_t groups, ptrdiff_t per, ptrdiff_t channels, const float *restrict slope,
            const float *restrict y, const float *restrict x, const float *restrict scale,
            const float *restrict along, const float *restrict shift,
            const float *restrict residual, const float *restrict residual_scale,
            const float *restrict residual_along, const float *restrict residual_shift,
            float *restrict d_x, float *restrict d_residual)
{
    for (ptrdiff_t g = 0; g < groups; g++, shift += channels) {
        for (ptrdiff_t r = 0; r < per; r++) {
            if (d_residual == NULL)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    float d = y[c] > 0 ? slope[c] : 0;
                    d_x[c] = d * scale[c] + (x[c] * along[c] + shift[c]);
                }
            else if (residual_scale == NULL)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    float d = y[c] > 0 ? slope[c] : 0;
                    d_x[c] = d * scale[c] + (x[c] * along[c] + shift[c]);
                    d_residual[c] = d;
                }
            else
                for (ptrdiff_t c = 0; c < channels; c++) {
                    float d = y[c] > 0 ? slope[c] : 0;
                    d_x[c] = d * scale[c] + (x[c] * along[c] + shift[c]);
                    d_residual[c] =
                        d * residual_scale[c] + (residual[c] * residual_along[c] + residual_shift[c]);
                }
            slope += channels, y += channels, x += channels, d_x += channels;
            if (d_residual) d_residual += channels;
            if (residual) residual += channels;
        }
        if (residual_shift) residual_shift += channels;
    }
}
