/* Included by lanes.h once for each T. */
#ifdef __GNUC__
enum { NAME(W) = BYTES / sizeof(T) };
typedef T NAME(V) __attribute__((vector_size(BYTES)));
typedef Mask NAME(M) __attribute__((vector_size(BYTES)));
typedef double NAME(D) __attribute__((vector_size(sizeof(double) * (BYTES / sizeof(T)))));
#define V NAME(V)
/* a within [-t, t] */
static inline V NAME(clip)(V a, T t) {
    const V high = t - (V){0}, low = -t - (V){0};
    const NAME(M) above = a > high, below = a < low;
    return (V)(((NAME(M))high & above) | ((NAME(M))low & below) | ((NAME(M))a & ~(above | below)));
}
static inline void NAME(add)(double *p, V v) {
    NAME(D) sum;
    memcpy(&sum, p, sizeof sum);
    sum += __builtin_convertvector(v, NAME(D));
    memcpy(p, &sum, sizeof sum);
}
#else  /* no vectors: one number at a time */
enum { NAME(W) = 1 };
typedef T NAME(V);
#define V NAME(V)
static inline V NAME(clip)(V a, T t) { return a > t ? t : a < -t ? -t : a; }
static inline void NAME(add)(double *p, V v) { *p += v; }
#endif
#define W NAME(W)

static inline V NAME(load)(const T *p) { V v; memcpy(&v, p, sizeof v); return v; }
static inline void NAME(store)(T *p, V v) { memcpy(p, &v, sizeof v); }

static inline T NAME(sum)(V v) {
    T lane[W], total = 0;
    memcpy(lane, &v, sizeof v);
    for (int k = 0; k < W; k++) total += lane[k];
    return total;
}

/* x w */
static inline T NAME(dot)(const T *restrict x, const T *restrict w, ptrdiff_t n) {
    V s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    T rest = 0;
    ptrdiff_t j = 0;
    for (; j + 4 * W <= n; j += 4 * W) {
        s0 += NAME(load)(x + j) * NAME(load)(w + j);
        s1 += NAME(load)(x + j + W) * NAME(load)(w + j + W);
        s2 += NAME(load)(x + j + 2 * W) * NAME(load)(w + j + 2 * W);
        s3 += NAME(load)(x + j + 3 * W) * NAME(load)(w + j + 3 * W);
    }
    for (; j + W <= n; j += W) s0 += NAME(load)(x + j) * NAME(load)(w + j);
    for (; j < n; j++) rest += x[j] * w[j];
    return NAME(sum)((s0 + s1) + (s2 + s3)) + rest;
}

/* z = (x0 w, x1 w, x2 w, x3 w), loading w once for the four rows */
static inline void NAME(dot4)(const T *restrict x0, const T *restrict x1, const T *restrict x2, const T *restrict x3,
                              const T *restrict w, ptrdiff_t n, T *z) {
    V a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0}, u, v;
    ptrdiff_t j = 0;
    for (; j + 2 * W <= n; j += 2 * W) {
        u = NAME(load)(w + j), v = NAME(load)(w + j + W);
        a0 += NAME(load)(x0 + j) * u, b0 += NAME(load)(x0 + j + W) * v;
        a1 += NAME(load)(x1 + j) * u, b1 += NAME(load)(x1 + j + W) * v;
        a2 += NAME(load)(x2 + j) * u, b2 += NAME(load)(x2 + j + W) * v;
        a3 += NAME(load)(x3 + j) * u, b3 += NAME(load)(x3 + j + W) * v;
    }
    for (; j + W <= n; j += W) {
        u = NAME(load)(w + j);
        a0 += NAME(load)(x0 + j) * u, a1 += NAME(load)(x1 + j) * u;
        a2 += NAME(load)(x2 + j) * u, a3 += NAME(load)(x3 + j) * u;
    }
    z[0] = NAME(sum)(a0 + b0), z[1] = NAME(sum)(a1 + b1), z[2] = NAME(sum)(a2 + b2), z[3] = NAME(sum)(a3 + b3);
    for (; j < n; j++) z[0] += x0[j] * w[j], z[1] += x1[j] * w[j], z[2] += x2[j] * w[j], z[3] += x3[j] * w[j];
}

/* w <- soft(factor w + step behind, threshold), average += w, squares += |w|^2; returns w ahead. All in one pass.
   `lasso` and `averaged` are constants in every call, so each call is a loop of its own without a branch. */
ALWAYS_INLINE T NAME(pass)(const T *restrict behind, const T *restrict ahead, const T *restrict later, T *restrict w,
                           double *restrict average, ptrdiff_t n, T factor, T step, T threshold, double *squares,
                           int lasso, int averaged) {
    V s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0}, v;
    T rest = 0, square = 0;
    ptrdiff_t j = 0;
#define ADVANCE(at, s, q) \
    v = factor * NAME(load)(w + (at)) + step * NAME(load)(behind + (at)); \
    if (lasso) v -= NAME(clip)(v, threshold); else q += v * v; \
    NAME(store)(w + (at), v); \
    s += v * NAME(load)(ahead + (at)); \
    if (averaged) NAME(add)(average + (at), v);
    for (; j + 4 * W <= n; j += 4 * W) {
        for (int line = 0; line < (int) (4 * W * sizeof(T)); line += 64) PREFETCH((const char *) (later + j) + line);
        ADVANCE(j, s0, q0) ADVANCE(j + W, s1, q1) ADVANCE(j + 2 * W, s2, q2) ADVANCE(j + 3 * W, s3, q3)
    }
    for (; j + W <= n; j += W) { ADVANCE(j, s0, q0) }
#undef ADVANCE
    for (; j < n; j++) {
        T one = factor * w[j] + step * behind[j];
        if (lasso) one -= one > threshold ? threshold : one < -threshold ? -threshold : one;
        else square += one * one;
        w[j] = one;
        rest += one * ahead[j];
        if (averaged) average[j] += one;
    }
    *squares += NAME(sum)((q0 + q1) + (q2 + q3)) + square;
    return NAME(sum)((s0 + s1) + (s2 + s3)) + rest;
}

/* threshold = 0: no prox; average = NULL: no average; squares counts only where there is no prox. The row `later` is fetched into the
   cache on the way: a shuffled order gives the processor nothing to guess by. */
static inline T NAME(advance)(const T *behind, const T *ahead, const T *later, T *w, double *average, ptrdiff_t n,
                              T factor, T step, T threshold, double *squares) {
    if (threshold > 0)
        return average ? NAME(pass)(behind, ahead, later, w, average, n, factor, step, threshold, squares, 1, 1)
                       : NAME(pass)(behind, ahead, later, w, average, n, factor, step, threshold, squares, 1, 0);
    return average ? NAME(pass)(behind, ahead, later, w, average, n, factor, step, threshold, squares, 0, 1)
                   : NAME(pass)(behind, ahead, later, w, average, n, factor, step, threshold, squares, 0, 0);
}
#undef V
#undef W
