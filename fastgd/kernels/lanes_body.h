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

/* w <- soft(factor w + step behind, threshold), average += w; returns w ahead and adds |w|^2 to *square. All in one pass; the row `later`
   is fetched into the cache on the way, since a shuffled order gives the processor nothing to guess by. `lasso` and `averaged` are
   constants in every call, so that each call is a loop of its own without a branch. */
ALWAYS_INLINE T NAME(pass)(const T *restrict behind, const T *restrict ahead, const T *restrict later, T *restrict w,
                           double *restrict average, ptrdiff_t n, T factor, T step, T threshold, double *square,
                           int lasso, int averaged) {
    V s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0}, v;
    T s = 0, q = 0, one;
    ptrdiff_t j = 0;
    const int wide = n * sizeof(T) > 2048; /* three such rows and w would fill the first-level cache */
#define ADVANCE(at, dots, squares) \
    v = factor * NAME(load)(w + (at)) + step * NAME(load)(behind + (at)); \
    if (lasso) v -= NAME(clip)(v, threshold); else squares += v * v; \
    NAME(store)(w + (at), v); \
    dots += v * NAME(load)(ahead + (at)); \
    if (averaged) NAME(add)(average + (at), v);
    for (; j + 4 * W <= n; j += 4 * W) {
        for (int line = 0; line < (int) (4 * W * sizeof(T)); line += 64)
            if (wide) PREFETCH_L2((const char *) (later + j) + line); else PREFETCH((const char *) (later + j) + line);
        ADVANCE(j, s0, q0) ADVANCE(j + W, s1, q1) ADVANCE(j + 2 * W, s2, q2) ADVANCE(j + 3 * W, s3, q3)
    }
    for (; j + W <= n; j += W) { ADVANCE(j, s0, q0) }
#undef ADVANCE
    for (; j < n; j++) {
        one = factor * w[j] + step * behind[j];
        if (lasso) one -= one > threshold ? threshold : one < -threshold ? -threshold : one;
        else q += one * one;
        w[j] = one;
        s += one * ahead[j];
        if (averaged) average[j] += one;
    }
    if (!lasso) *square += NAME(sum)((q0 + q1) + (q2 + q3)) + q;
    return NAME(sum)((s0 + s1) + (s2 + s3)) + s;
}

/* threshold = 0: no prox; average = NULL: no average */
ALWAYS_INLINE T NAME(advance)(const T *behind, const T *ahead, const T *later, T *w, double *average, ptrdiff_t n,
                              T factor, T step, T threshold, double *square) {
#define PASS(lasso, averaged) NAME(pass)(behind, ahead, later, w, average, n, factor, step, threshold, square, lasso, averaged)
    if (threshold > 0) return average ? PASS(1, 1) : PASS(1, 0);
    return average ? PASS(0, 1) : PASS(0, 0);
#undef PASS
}
#undef V
#undef W
