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
static inline T NAME(sum)(V v) {
    T lane[BYTES / sizeof(T) / 2];
    int half = BYTES / sizeof(T) / 2;
    for (int k = 0; k < half; k++) lane[k] = v[k] + v[k + half];
    while (half /= 2)
        for (int k = 0; k < half; k++) lane[k] += lane[k + half];
    return lane[0];
}
#else  /* no vectors: one number at a time */
enum { NAME(W) = 1 };
typedef T NAME(V);
static inline T NAME(sum)(V v) { return v; }
#define V NAME(V)
static inline V NAME(clip)(V a, T t) { return a > t ? t : a < -t ? -t : a; }
static inline void NAME(add)(double *p, V v) { *p += v; }
#endif
#define W NAME(W)

static inline V NAME(load)(const T *p) { V v; memcpy(&v, p, sizeof v); return v; }
static inline void NAME(store)(T *p, V v) { memcpy(p, &v, sizeof v); }

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

/* z = (x0 w, x1 w, x2 w, x3 w), loading w once for the four rows; on the way the first n entries of the rows `later` are fetched */
NO_INLINE void NAME(dot4)(const T *restrict x0, const T *restrict x1, const T *restrict x2, const T *restrict x3,
                          const T *restrict w, ptrdiff_t n, T *z, const T *const *later) {
    V a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0}, u, v;
    ptrdiff_t j = 0;
    for (; j + 2 * W <= n; j += 2 * W) {
        u = NAME(load)(w + j), v = NAME(load)(w + j + W);
        if (later) PREFETCH_L2(later[0] + j), PREFETCH_L2(later[1] + j), PREFETCH_L2(later[2] + j), PREFETCH_L2(later[3] + j);
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

/* w += s[0] x0 + s[1] x1 + s[2] x2 + s[3] x3, loading and storing w once for the four rows */
NO_INLINE void NAME(add4)(const T *s, const T *restrict x0, const T *restrict x1, const T *restrict x2, const T *restrict x3,
                          T *restrict w, ptrdiff_t n) {
    const T s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3];
    ptrdiff_t j = 0;
    for (; j + W <= n; j += W)
        NAME(store)(w + j, NAME(load)(w + j) + ((s0 * NAME(load)(x0 + j) + s1 * NAME(load)(x1 + j))
                                               + (s2 * NAME(load)(x2 + j) + s3 * NAME(load)(x3 + j))));
    for (; j < n; j++) w[j] += (s0 * x0[j] + s1 * x1[j]) + (s2 * x2[j] + s3 * x3[j]);
}

/* One pass over w: w <- soft(factor w + first behind[0], threshold), average += w, and the margin of the row ahead. `paired`:
   w <- factor w + first behind[0] + second behind[1] and the margins of two rows ahead, whose dot product with each other says what
   the first one's step will do to the second one's margin: one pass, and one wait for its sums, for two steps. The rows `later` are
   fetched into the cache on the way, since a shuffled order gives the processor nothing to guess by. `paired`, `lasso` and `averaged`
   are constants in every call, so that each call is a loop of its own without a branch. */
ALWAYS_INLINE Ahead NAME(pass)(const T *const *behind, const T *const *ahead, const T *const *later, T *restrict w,
                               double *restrict average, ptrdiff_t n, T factor, T first, T second, T threshold,
                               int paired, int lasso, int averaged) {
    const T *restrict x0 = behind[0], *restrict x1 = behind[1], *restrict a0 = ahead[0], *restrict a1 = ahead[1];
    V z0[2] = {{0}}, z1[2] = {{0}}, both[2] = {{0}}, v, u;
    T r0 = 0, r1 = 0, r2 = 0, one;
    ptrdiff_t j = 0;
    const int wide = n * sizeof(T) > 2048; /* three such rows and w would fill the first-level cache */
#define ADVANCE(at, k) \
    v = factor * NAME(load)(w + (at)) + first * NAME(load)(x0 + (at)); \
    if (paired) v += second * NAME(load)(x1 + (at)); \
    if (lasso) v -= NAME(clip)(v, threshold); \
    NAME(store)(w + (at), v); \
    z0[k] += v * NAME(load)(a0 + (at)); \
    if (paired) u = NAME(load)(a1 + (at)), z1[k] += v * u, both[k] += u * NAME(load)(a0 + (at)); \
    if (averaged) NAME(add)(average + (at), v);
    for (; j + 2 * W <= n; j += 2 * W) {
        for (int line = 0; line < (int) (2 * W * sizeof(T)); line += 64) {
            const char *next = (const char *) (later[0] + j) + line;
            if (wide) PREFETCH_L2(next); else PREFETCH(next);
            if (paired) PREFETCH((const char *) (later[1] + j) + line);
        }
        ADVANCE(j, 0) ADVANCE(j + W, 1)
    }
    PREFETCH(later[0] + n - 1);
    if (paired) PREFETCH(later[1] + n - 1);
    for (; j + W <= n; j += W) { ADVANCE(j, 0) }
#undef ADVANCE
    for (; j < n; j++) {
        one = factor * w[j] + first * x0[j];
        if (paired) one += second * x1[j];
        if (lasso) one -= one > threshold ? threshold : one < -threshold ? -threshold : one;
        w[j] = one;
        r0 += one * a0[j];
        if (paired) r1 += one * a1[j], r2 += a0[j] * a1[j];
        if (averaged) average[j] += one;
    }
    return (Ahead) {NAME(sum)(z0[0] + z0[1]) + r0, NAME(sum)(z1[0] + z1[1]) + r1, NAME(sum)(both[0] + both[1]) + r2};
}

/* threshold = 0: no prox; average = NULL: no average; only steps without both can be taken in pairs */
ALWAYS_INLINE Ahead NAME(advance)(const T *const *behind, const T *const *ahead, const T *const *later, T *w, double *average,
                                  ptrdiff_t n, T factor, T first, T second, T threshold, int paired) {
#define PASS(paired, lasso, averaged) \
    NAME(pass)(behind, ahead, later, w, average, n, factor, first, second, threshold, paired, lasso, averaged)
    if (paired) return PASS(1, 0, 0);
    if (threshold > 0) return average ? PASS(0, 1, 1) : PASS(0, 1, 0);
    return average ? PASS(0, 0, 1) : PASS(0, 0, 0);
#undef PASS
}
#undef V
#undef W
