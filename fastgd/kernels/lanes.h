/* Loops over dense rows with the vector types of GNU C. Each has several running sums: a single one
   would wait for every addition, and compilers do not split it because that changes the rounding.
   The body is compiled for float and double; _Generic selects by the pointer's type. */
#ifndef FASTGD_LANES_H
#define FASTGD_LANES_H
#include <stddef.h>
#include <string.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

#ifdef __GNUC__
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NO_INLINE static __attribute__((noinline, unused)) /* pointers stay in registers */
#if defined(__x86_64__) || defined(__i386__)
/* Load v from memory once. GCC would load it for each use. */
#define ONCE(v) __asm__("" : "+x"(v))
#else
#define ONCE(v)
#endif
#define PREFETCH(p) __builtin_prefetch(p)
#define PREFETCH_L2(p) __builtin_prefetch(p, 0, 2)
#else
#define ALWAYS_INLINE static inline
#define NO_INLINE static
#define ONCE(v)
#define PREFETCH(p) ((void) 0)
#define PREFETCH_L2(p) ((void) 0)
#endif

typedef struct {
    double first, second; /* margins of two rows */
    double product;       /* their dot product */
} PairMargins;

typedef struct {
    double product, first, second; /* the dot product of two vectors, and their squared norms */
} Products;

#define T float
#define Mask int
#define NAME(f) f##_float
#include "lanes_body.h"
#undef T
#undef Mask
#undef NAME

#define T double
#define Mask long long
#define NAME(f) f##_double
#include "lanes_body.h"
#undef T
#undef Mask
#undef NAME

#define PICK(f, pointer) _Generic(*(pointer), float: f##_float, double: f##_double)
#define lanes_dot(x, w, n) PICK(dot, x)(x, w, n)
#define lanes_dot4(x, w, stride, n, z, K, prefetched, outputs) \
    PICK(dot4, w)(x, w, stride, n, z, K, prefetched, outputs)
#define lanes_add4(s, K, x, w, stride, n, prefetched, outputs) \
    PICK(add4, w)(s, K, x, w, stride, n, prefetched, outputs)
#define lanes_advance(behind, ahead, prefetched, w, average, n, factor, first, second, threshold, \
                      below, paired) \
    PICK(advance, w)(behind, ahead, prefetched, w, average, n, factor, first, second, threshold, \
                     below, paired)
#define lanes_products(x, w, v, n, paired) PICK(products, x)(x, w, v, n, paired)
#define lanes_update_factors(x, w, v, n, a, b, shrink_x, shrink_w, paired) \
    PICK(update_factors, x)(x, w, v, n, a, b, shrink_x, shrink_w, paired)
#endif
