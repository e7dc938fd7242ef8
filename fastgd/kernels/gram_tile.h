/* G += A' A for the rows of a tile, in blocks that stay in registers.

   A is stored in panels of 8 columns, the rows of a panel one after the other. Of the symmetric
   (q, q) matrix G the lower triangle is computed, in C-order, and what of the diagonal blocks lies
   above it. Every entry is a sum over the rows in order, so vectors of any width give the same
   bits. */
#ifndef FASTGD_GRAM_TILE_H
#define FASTGD_GRAM_TILE_H
#include <stddef.h>
#include <string.h>

#define PANEL 8 /* columns */

#ifdef __GNUC__
typedef double vector4 __attribute__((vector_size(32), aligned(8), may_alias));
typedef double vector8 __attribute__((vector_size(64), aligned(8), may_alias));
#else
typedef double vector1;
#endif

/* Defines a function. A block has `HEIGHT` rows of G and a panel of columns. `apart` is the number
   of rows that a panel has room for. */
#define GRAM_TILE(NAME, VECTOR, HEIGHT, TARGET) \
    TARGET static void NAME(const double *panels, ptrdiff_t apart, ptrdiff_t rows, ptrdiff_t q, \
                            double *G) \
    { \
        enum { WIDTH = sizeof(VECTOR) / sizeof(double), VECTORS = PANEL / WIDTH }; \
        for (ptrdiff_t j = 0; j < q; j += PANEL) \
            for (ptrdiff_t i = j; i < q; i += HEIGHT) { \
                const double *tall = panels + i / PANEL * apart * PANEL + i % PANEL; \
                const double *wide = panels + j * apart; \
                VECTOR sum[HEIGHT][VECTORS]; \
                memset(sum, 0, sizeof sum); \
                for (ptrdiff_t r = 0; r < rows; r++) \
                    for (int k = 0; k < HEIGHT; k++) \
                        for (int v = 0; v < VECTORS; v++) \
                            sum[k][v] += tall[r * PANEL + k] \
                                         * *(const VECTOR *) (wide + r * PANEL + v * WIDTH); \
                for (int k = 0; k < HEIGHT; k++) \
                    for (int v = 0; v < VECTORS; v++) \
                        *(VECTOR *) (G + (i + k) * q + j + v * WIDTH) += sum[k][v]; \
            } \
    }

#ifndef __GNUC__
GRAM_TILE(gram_tile, vector1, 4, )
#elif defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
/* With twice the width this takes 0.55 of the time, unlike most kernels, which wait for memory or
   for the last result; so here alone there is a version for AVX-512. */
GRAM_TILE(gram_tile_avx2, vector4, 4, )
GRAM_TILE(gram_tile_avx512, vector8, 8, __attribute__((target("avx512f"))))
static void gram_tile(const double *panels, ptrdiff_t apart, ptrdiff_t rows, ptrdiff_t q, double *G)
{
    if (__builtin_cpu_supports("avx512f")) gram_tile_avx512(panels, apart, rows, q, G);
    else gram_tile_avx2(panels, apart, rows, q, G);
}
#else
GRAM_TILE(gram_tile, vector4, 4, )
#endif
#endif
