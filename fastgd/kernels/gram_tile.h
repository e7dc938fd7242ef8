/* G += A' A for the rows of a tile, in blocks that stay in registers.

   A is stored in panels of 8 columns, the rows of a panel one after the other. Of the symmetric
   (q, q) matrix G the lower triangle is computed, in C-order, and what of the diagonal blocks lies
   above it. */
#ifndef FASTGD_GRAM_TILE_H
#define FASTGD_GRAM_TILE_H
#include <stddef.h>
#include <string.h>

#define PANEL 8 /* columns */
#define ROWS_OF_BLOCK 4

#ifdef __GNUC__
typedef double vector4 __attribute__((vector_size(32), aligned(8), may_alias));

static inline __attribute__((always_inline)) void gram_block(
    const double *tall, const double *wide, ptrdiff_t rows, double *G, ptrdiff_t q)
{
    vector4 sum[ROWS_OF_BLOCK][2];
    memset(sum, 0, sizeof sum);
    for (ptrdiff_t r = 0; r < rows; r++) {
        vector4 first = *(const vector4 *) (wide + r * PANEL);
        vector4 second = *(const vector4 *) (wide + r * PANEL + 4);
        for (int k = 0; k < ROWS_OF_BLOCK; k++) {
            double factor = tall[r * PANEL + k];
            sum[k][0] += factor * first;
            sum[k][1] += factor * second;
        }
    }
    for (int k = 0; k < ROWS_OF_BLOCK; k++) {
        *(vector4 *) (G + k * q) += sum[k][0];
        *(vector4 *) (G + k * q + 4) += sum[k][1];
    }
}
#else
static void gram_block(const double *tall, const double *wide, ptrdiff_t rows, double *G,
                       ptrdiff_t q)
{
    double sum[ROWS_OF_BLOCK][PANEL] = {{0}};
    for (ptrdiff_t r = 0; r < rows; r++)
        for (int k = 0; k < ROWS_OF_BLOCK; k++)
            for (int j = 0; j < PANEL; j++)
                sum[k][j] += tall[r * PANEL + k] * wide[r * PANEL + j];
    for (int k = 0; k < ROWS_OF_BLOCK; k++)
        for (int j = 0; j < PANEL; j++)
            G[k * q + j] += sum[k][j];
}
#endif

/* `apart` is the number of rows that a panel has room for. */
static void gram_tile(const double *panels, ptrdiff_t apart, ptrdiff_t rows, ptrdiff_t q, double *G)
{
    for (ptrdiff_t j = 0; j < q; j += PANEL)
        for (ptrdiff_t i = j; i < q; i += ROWS_OF_BLOCK) {
            const double *tall = panels + i / PANEL * apart * PANEL + i % PANEL;
            gram_block(tall, panels + j * apart, rows, G + i * q + j, q);
        }
}
#endif
