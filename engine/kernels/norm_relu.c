/* Batch norm, addition and ReLU of a training step, forward in one call and backward in one.
 *
 * A channels-last picture is a matrix of rows (pixels) by channels. Where few channels make a row shorter than the
 * vectors, several rows are taken as one: "wide" rows, in which every channel occurs several times. Sums go over
 * blocks of rows whose bounds depend on the sizes alone, and blocks are added up in their order, so the same input
 * gives the same bits whatever the number of threads.
 *
 * Elements are float, or bfloat16 as the upper half of a float; sums are float within a few hundred rows, double
 * beyond. No OpenMP library is linked: the symbols are those of the one that torch has loaded.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#define LANES 16
#define WIDEST 4    /* vectors that are worked on together */
#define FLUSH 256   /* rows that are summed up as float */
#define BLOCKS 128  /* of rows; at most so many threads have work */
#define SMALLEST 16384 /* elements of a block */
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));
typedef uint16_t half __attribute__((vector_size(2 * LANES)));

typedef struct {
    int64_t rows, width, repeats, blocks, rows_a_block; /* of wide rows */
} Layout;

INLINE vec load(const void *from, int64_t index, int bf16) {
    if (bf16) {
        half narrow;
        memcpy(&narrow, (const uint16_t *)from + index, sizeof narrow);
        return (vec)(__builtin_convertvector(narrow, uvec) << 16);
    }
    vec wide;
    memcpy(&wide, (const float *)from + index, sizeof wide);
    return wide;
}

INLINE void store(void *to, int64_t index, vec value, int bf16) {
    if (!bf16) {
        memcpy((float *)to + index, &value, sizeof value);
        return;
    }
#ifdef __AVX512BF16__
    __m256bh narrow = _mm512_cvtneps_pbh((__m512)value);
#else
    uvec bits = (uvec)value;
    uvec rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16; /* to nearest, ties to even */
    uvec number = (uvec)(value == value);
    half narrow = __builtin_convertvector((rounded & number) | (~number & 0x7fc0), half);
#endif
    memcpy((uint16_t *)to + index, &narrow, sizeof narrow);
}

/* value where sign is above zero or no number, as ReLU has it; else 0 */
INLINE vec passed(vec sign, vec value) { return (vec)(~(ivec)(sign <= 0) & (ivec)value); }

INLINE void add_to(double *sums, vec values) {
    for (int lane = 0; lane < LANES; lane++) sums[lane] += values[lane];
}

/* Sums of x - pivot and of its square. */
INLINE void forward_sums(const void *x, const float *pivot, double *sums, int64_t first, int64_t last, int64_t width,
                         int64_t column, int bf16, const int vectors) {
    vec middle[WIDEST];
    for (int v = 0; v < vectors; v++) middle[v] = load(pivot, column + v * LANES, 0);
    for (int64_t start = first; start < last; start += FLUSH) {
        int64_t stop = start + FLUSH < last ? start + FLUSH : last;
        vec sum[WIDEST] = {0}, square[WIDEST] = {0};
        for (int64_t row = start; row < stop; row++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                vec value = load(x, row * width + column + v * LANES, bf16) - middle[v];
                sum[v] += value;
                square[v] += value * value;
            }
        for (int v = 0; v < vectors; v++) {
            add_to(sums + column + v * LANES, sum[v]);
            add_to(sums + width + column + v * LANES, square[v]);
        }
    }
}

/* y = relu(x * scale + shift + add) */
INLINE void forward_apply(const void *x, const void *add, const float *scale, const float *shift, void *y,
                          int64_t first, int64_t last, int64_t width, int64_t column, int bf16, const int vectors) {
    vec factor[WIDEST], offset[WIDEST];
    for (int v = 0; v < vectors; v++) {
        factor[v] = load(scale, column + v * LANES, 0);
        offset[v] = load(shift, column + v * LANES, 0);
    }
    for (int64_t row = first; row < last; row++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            int64_t index = row * width + column + v * LANES;
            vec value = load(x, index, bf16) * factor[v] + offset[v];
            if (add) value += load(add, index, bf16);
            store(y, index, passed(value, value), bf16);
        }
}

/* Sums of the gradient g before the ReLU, where dy + dy2 is that after it, and of g * (x - mean); g is also the
 * gradient of what was added. */
INLINE void backward_sums(const void *x, const void *y, const void *dy, const void *dy2, const float *mean, void *dadd,
                          double *sums, int64_t first, int64_t last, int64_t width, int64_t column, int bf16, const int vectors) {
    vec middle[WIDEST];
    for (int v = 0; v < vectors; v++) middle[v] = load(mean, column + v * LANES, 0);
    for (int64_t start = first; start < last; start += FLUSH) {
        int64_t stop = start + FLUSH < last ? start + FLUSH : last;
        vec sum[WIDEST] = {0}, product[WIDEST] = {0};
        for (int64_t row = start; row < stop; row++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                int64_t index = row * width + column + v * LANES;
                vec gradient = load(dy, index, bf16);
                if (dy2) gradient += load(dy2, index, bf16);
                gradient = passed(load(y, index, bf16), gradient);
                if (dadd) store(dadd, index, gradient, bf16);
                sum[v] += gradient;
                product[v] += gradient * (load(x, index, bf16) - middle[v]);
            }
        for (int v = 0; v < vectors; v++) {
            add_to(sums + column + v * LANES, sum[v]);
            add_to(sums + width + column + v * LANES, product[v]);
        }
    }
}

/* dx = scale * g - slope * (x - mean) - level */
INLINE void backward_apply(const void *x, const void *y, const void *dy, const float *terms, void *dx, int64_t first,
                           int64_t last, int64_t width, int64_t column, int bf16, const int vectors) {
    vec scale[WIDEST], slope[WIDEST], level[WIDEST], middle[WIDEST];
    for (int v = 0; v < vectors; v++) {
        scale[v] = load(terms, column + v * LANES, 0);
        slope[v] = load(terms, width + column + v * LANES, 0);
        level[v] = load(terms, 2 * width + column + v * LANES, 0);
        middle[v] = load(terms, 3 * width + column + v * LANES, 0);
    }
    for (int64_t row = first; row < last; row++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            int64_t index = row * width + column + v * LANES;
            vec gradient = load(dy, index, bf16);
            if (y) gradient = passed(load(y, index, bf16), gradient);
            vec centred = load(x, index, bf16) - middle[v];
            store(dx, index, scale[v] * gradient - slope[v] * centred - level[v], bf16);
        }
}

/* Call one of the above for every block of rows, in vectors of the width, for either type of element. */
#define ALL_COLUMNS(call, bf16)                                                            \
    {                                                                                      \
        int64_t column = 0;                                                                \
        for (; column + WIDEST * LANES <= width; column += WIDEST * LANES) call(bf16, WIDEST); \
        for (; column < width; column += LANES) call(bf16, 1);                             \
    }
#define EVERY_BLOCK(layout, call)                                                          \
    _Pragma("omp parallel for schedule(static) if (layout.blocks > 1)")                    \
    for (int64_t block = 0; block < layout.blocks; block++) {                              \
        int64_t width = layout.width, first = block * layout.rows_a_block;                 \
        int64_t last = first + layout.rows_a_block < layout.rows ? first + layout.rows_a_block : layout.rows; \
        if (bf16) ALL_COLUMNS(call, 1) else ALL_COLUMNS(call, 0)                           \
    }

/* Return how rows are taken together; a width of 0: no whole number of vectors. */
static Layout lay_out(int64_t rows, int64_t channels) {
    Layout layout = {0};
    int64_t repeats = 1;
    while (repeats * channels % LANES) repeats *= 2;
    while (repeats * channels < WIDEST * LANES && rows % (2 * repeats) == 0) repeats *= 2;
    if (rows % repeats) return layout;
    layout.repeats = repeats;
    layout.rows = rows / repeats;
    layout.width = repeats * channels;
    int64_t blocks = (rows * channels + SMALLEST - 1) / SMALLEST;
    if (blocks > BLOCKS) blocks = BLOCKS;
    layout.rows_a_block = (layout.rows + blocks - 1) / blocks;
    layout.blocks = (layout.rows + layout.rows_a_block - 1) / layout.rows_a_block;
    return layout;
}

/* Add up a channel's sums over blocks and repeats. */
static double total(const double *sums, const Layout *layout, int64_t channels, int64_t channel, int which) {
    double sum = 0;
    for (int64_t block = 0; block < layout->blocks; block++)
        for (int64_t repeat = 0; repeat < layout->repeats; repeat++)
            sum += sums[(2 * block + which) * layout->width + repeat * channels + channel];
    return sum;
}

static void repeat(float *row, const Layout *layout, int64_t channels) {
    for (int64_t column = channels; column < layout->width; column++) row[column] = row[column - channels];
}

/* Whether the functions below take so many rows of so many channels. */
int norm_relu_takes(int64_t rows, int64_t channels) { return rows > 1 && lay_out(rows, channels).width > 0; }

/* Batch norm in training, addition of `add` unless it is null, ReLU. Writes y, and mean and 1/deviation of the batch;
 * moves the running statistics. Returns 0, or 1 where memory is short. */
int norm_relu_forward(int bf16, int64_t rows, int64_t channels, const void *x, const void *add, const float *weight,
                      const float *bias, double eps, double momentum, float *running_mean, float *running_var,
                      float *mean, float *inverse, void *y) {
    Layout layout = lay_out(rows, channels);
    double *sums = calloc(2 * layout.blocks * layout.width, sizeof(double));
    float *terms = malloc(3 * layout.width * sizeof(float));
    if (!sums || !terms) {
        free(sums);
        free(terms);
        return 1;
    }
    float *pivot = terms, *scale = terms + layout.width, *shift = terms + 2 * layout.width;
    /* Sums about a value near the mean lose no digits in the variance. */
    int64_t looked_at = rows < LANES ? rows : LANES;
    for (int64_t channel = 0; channel < channels; channel++) {
        float sum = 0;
        for (int64_t row = 0; row < looked_at; row++) {
            int64_t index = row * channels + channel;
            uint32_t bits = bf16 ? (uint32_t)((const uint16_t *)x)[index] << 16 : ((const uint32_t *)x)[index];
            float value;
            memcpy(&value, &bits, sizeof value);
            sum += value;
        }
        pivot[channel] = sum / looked_at;
    }
    repeat(pivot, &layout, channels);
#define SUMS(bf16, vectors) \
    forward_sums(x, pivot, sums + 2 * block * width, first, last, width, column, bf16, vectors)
    EVERY_BLOCK(layout, SUMS)
    for (int64_t channel = 0; channel < channels; channel++) {
        double off = total(sums, &layout, channels, channel, 0) / rows;
        double variance = total(sums, &layout, channels, channel, 1) / rows - off * off;
        if (variance < 0) variance = 0;
        double middle = pivot[channel] + off;
        mean[channel] = middle;
        inverse[channel] = 1 / sqrt(variance + eps);
        running_mean[channel] = (1 - momentum) * running_mean[channel] + momentum * middle;
        running_var[channel] = (1 - momentum) * running_var[channel] + momentum * variance * rows / (rows - 1);
        scale[channel] = weight[channel] * inverse[channel];
        shift[channel] = bias[channel] - mean[channel] * scale[channel];
    }
    repeat(scale, &layout, channels);
    repeat(shift, &layout, channels);
#define APPLY(bf16, vectors) forward_apply(x, add, scale, shift, y, first, last, width, column, bf16, vectors)
#define APPLY_ALONE(bf16, vectors) forward_apply(x, 0, scale, shift, y, first, last, width, column, bf16, vectors)
    if (add) EVERY_BLOCK(layout, APPLY) else EVERY_BLOCK(layout, APPLY_ALONE)
    free(sums);
    free(terms);
    return 0;
}

/* The gradients of x, weight, bias, and of what was added unless `dadd` is null. The gradient of y is dy, or dy + dy2
 * unless that is null; then there must be a `dadd`. Returns 0, or 1 where memory is short. */
int norm_relu_backward(int bf16, int64_t rows, int64_t channels, const void *x, const void *y, const void *dy,
                       const void *dy2, const float *weight, const float *mean, const float *inverse, void *dx, void *dadd,
                       float *dweight, float *dbias) {
    Layout layout = lay_out(rows, channels);
    double *sums = calloc(2 * layout.blocks * layout.width, sizeof(double));
    float *terms = malloc(4 * layout.width * sizeof(float));
    if (!sums || !terms) {
        free(sums);
        free(terms);
        return 1;
    }
    float *scale = terms, *slope = terms + layout.width, *level = slope + layout.width, *middle = level + layout.width;
    memcpy(middle, mean, channels * sizeof(float));
    repeat(middle, &layout, channels);
#define SUMS_OF(dy2, dadd, bf16, vectors) \
    backward_sums(x, y, dy, dy2, middle, dadd, sums + 2 * block * width, first, last, width, column, bf16, vectors)
#define SUMS_BRANCHED(bf16, vectors) SUMS_OF(dy2, dadd, bf16, vectors)
#define SUMS_ADDED(bf16, vectors) SUMS_OF(0, dadd, bf16, vectors)
#define SUMS_ALONE(bf16, vectors) SUMS_OF(0, 0, bf16, vectors)
    if (dy2) EVERY_BLOCK(layout, SUMS_BRANCHED) else if (dadd) EVERY_BLOCK(layout, SUMS_ADDED)
    else EVERY_BLOCK(layout, SUMS_ALONE)
    for (int64_t channel = 0; channel < channels; channel++) {
        double gradient = total(sums, &layout, channels, channel, 0);
        double product = total(sums, &layout, channels, channel, 1) * inverse[channel];
        dweight[channel] = product;
        dbias[channel] = gradient;
        scale[channel] = weight[channel] * inverse[channel];
        slope[channel] = (double)scale[channel] * inverse[channel] * product / rows;
        level[channel] = (double)scale[channel] * gradient / rows;
    }
    repeat(scale, &layout, channels);
    repeat(slope, &layout, channels);
    repeat(level, &layout, channels);
    /* The gradient of what was added has the ReLU in it already. */
#define GRADIENT(bf16, vectors) backward_apply(x, y, dy, terms, dx, first, last, width, column, bf16, vectors)
#define GRADIENT_ADDED(bf16, vectors) backward_apply(x, 0, dadd, terms, dx, first, last, width, column, bf16, vectors)
    if (dadd) EVERY_BLOCK(layout, GRADIENT_ADDED) else EVERY_BLOCK(layout, GRADIENT)
    free(sums);
    free(terms);
    return 0;
}
