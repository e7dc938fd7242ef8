/* Included by lanes.h once for each T. */
#ifdef __GNUC__
enum { NAME(W) = BYTES / sizeof(T) };
typedef T NAME(V) __attribute__((vector_size(BYTES)));
typedef Mask NAME(M) __attribute__((vector_size(BYTES)));
typedef double NAME(D) __attribute__((vector_size(sizeof(double) * (BYTES / sizeof(T)))));
#define V NAME(V)
/* a within [-down, up] */
static inline V NAME(clip)(V a, T down, T up) {
    const V high = up - (V){0}, low = -down - (V){0};
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
#else  /* no vector types: one number at a time */
enum { NAME(W) = 1 };
typedef T NAME(V);
#define V NAME(V)
static inline T NAME(sum)(V v) { return v; }
static inline V NAME(clip)(V a, T down, T up) { return a > up ? up : a < -down ? -down : a; }
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

/* z (4, K) += x w for 4 rows x and 1 or 2 of K outputs, whose weights are `stride` numbers apart.
   w is loaded once for the four rows, x once for both outputs. There are always eight sums, since
   fewer would wait for the additions: one output has two for each row, of alternate vectors. Three
   of the four rows `prefetched` (NULL: none) are prefetched here and the last in add4, which
   spreads the load on memory. `outputs` is a constant in every call. */
ALWAYS_INLINE void NAME(dots)(const T *const *x, const T *w, ptrdiff_t stride, ptrdiff_t n,
                              double *z, ptrdiff_t K, const T *const *prefetched, int outputs) {
    const T *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3], *v = outputs == 1 ? w + W : w + stride;
    const T *p0 = prefetched ? prefetched[0] : x0, *p1 = prefetched ? prefetched[1] : x1;
    const T *p2 = prefetched ? prefetched[2] : x2;
    const ptrdiff_t step = outputs == 1 ? 2 * W : W;
    V a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0}, c, d, u0, u1,
        u2, u3;
    ptrdiff_t j = 0;
    for (; j + step <= n; j += step) {
        if (prefetched) PREFETCH_L2(p0 + j), PREFETCH_L2(p1 + j), PREFETCH_L2(p2 + j);
        c = NAME(load)(w + j), d = NAME(load)(v + j);
        u0 = NAME(load)(x0 + j), u1 = NAME(load)(x1 + j), u2 = NAME(load)(x2 + j),
            u3 = NAME(load)(x3 + j);
        if (outputs == 2) { ONCE(u0); ONCE(u1); ONCE(u2); ONCE(u3); }
        a0 += u0 * c, a1 += u1 * c, a2 += u2 * c, a3 += u3 * c;
        if (outputs == 1)
            u0 = NAME(load)(x0 + j + W), u1 = NAME(load)(x1 + j + W), u2 = NAME(load)(x2 + j + W),
                u3 = NAME(load)(x3 + j + W);
        b0 += u0 * d, b1 += u1 * d, b2 += u2 * d, b3 += u3 * d;
    }
    if (prefetched) PREFETCH_L2(p0 + n - 1), PREFETCH_L2(p1 + n - 1), PREFETCH_L2(p2 + n - 1);
    if (outputs == 1) {
        if (j + W <= n) {
            c = NAME(load)(w + j);
            a0 += NAME(load)(x0 + j) * c, a1 += NAME(load)(x1 + j) * c;
            a2 += NAME(load)(x2 + j) * c, a3 += NAME(load)(x3 + j) * c;
            j += W;
        }
        a0 += b0, a1 += b1, a2 += b2, a3 += b3;
    } else
        z[1] += NAME(sum)(b0), z[K + 1] += NAME(sum)(b1), z[2 * K + 1] += NAME(sum)(b2),
            z[3 * K + 1] += NAME(sum)(b3);
    z[0] += NAME(sum)(a0), z[K] += NAME(sum)(a1), z[2 * K] += NAME(sum)(a2),
        z[3 * K] += NAME(sum)(a3);
    for (; j < n; j++)
        for (int k = 0; k < outputs; k++) {
            const T weight = w[k * stride + j];
            z[k] += x0[j] * weight, z[K + k] += x1[j] * weight, z[2 * K + k] += x2[j] * weight,
                z[3 * K + k] += x3[j] * weight;
        }
}

NO_INLINE void NAME(dot4)(const T *const *x, const T *w, ptrdiff_t stride, ptrdiff_t n, double *z,
                          ptrdiff_t K, const T *const *prefetched, int outputs) {
    if (outputs == 1) NAME(dots)(x, w, stride, n, z, K, prefetched, 1);
    else NAME(dots)(x, w, stride, n, z, K, prefetched, 2);
}

/* w += x' s, s (4, K), for 4 rows x and 1 or 2 outputs as in dots. w is loaded and stored once for
   the four rows. Prefetches the row `prefetched`. */
ALWAYS_INLINE void NAME(adds)(const double *s, ptrdiff_t K, const T *const *x, T *w,
                              ptrdiff_t stride, ptrdiff_t n, const T *prefetched, int outputs) {
    const T *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    const T s0 = s[0], s1 = s[K], s2 = s[2 * K], s3 = s[3 * K];
    const double *t = outputs == 1 ? s : s + 1;
    const T t0 = t[0], t1 = t[K], t2 = t[2 * K], t3 = t[3 * K];
    T *v = outputs == 1 ? w + W : w + stride;
    const ptrdiff_t step = outputs == 1 ? 2 * W : W;
    V c, d, u0, u1, u2, u3;
    ptrdiff_t j = 0;
    for (; j + step <= n; j += step) {
        if (prefetched) PREFETCH_L2(prefetched + j);
        u0 = NAME(load)(x0 + j), u1 = NAME(load)(x1 + j), u2 = NAME(load)(x2 + j),
            u3 = NAME(load)(x3 + j);
        if (outputs == 2) { ONCE(u0); ONCE(u1); ONCE(u2); ONCE(u3); }
        c = (s0 * u0 + s1 * u1) + (s2 * u2 + s3 * u3);
        if (outputs == 1)
            u0 = NAME(load)(x0 + j + W), u1 = NAME(load)(x1 + j + W), u2 = NAME(load)(x2 + j + W),
                u3 = NAME(load)(x3 + j + W);
        d = (t0 * u0 + t1 * u1) + (t2 * u2 + t3 * u3);
        NAME(store)(w + j, NAME(load)(w + j) + c);
        NAME(store)(v + j, NAME(load)(v + j) + d);
    }
    if (prefetched) PREFETCH_L2(prefetched + n - 1);
    if (outputs == 1 && j + W <= n) {
        c = (s0 * NAME(load)(x0 + j) + s1 * NAME(load)(x1 + j))
            + (s2 * NAME(load)(x2 + j) + s3 * NAME(load)(x3 + j));
        NAME(store)(w + j, NAME(load)(w + j) + c);
        j += W;
    }
    for (; j < n; j++) {
        w[j] += (s0 * x0[j] + s1 * x1[j]) + (s2 * x2[j] + s3 * x3[j]);
        if (outputs == 2) v[j] += (t0 * x0[j] + t1 * x1[j]) + (t2 * x2[j] + t3 * x3[j]);
    }
}

NO_INLINE void NAME(add4)(const double *s, ptrdiff_t K, const T *const *x, T *w, ptrdiff_t stride,
                          ptrdiff_t n, const T *prefetched, int outputs) {
    if (outputs == 1) NAME(adds)(s, K, x, w, stride, n, prefetched, 1);
    else NAME(adds)(s, K, x, w, stride, n, prefetched, 2);
}

/* One pass over w: w <- soft(factor w + first behind[0], threshold), average += w, and the margin
   of the row ahead. Values below 0 are raised by `below`, at most to 0: this is the threshold too,
   or infinity where w >= 0 is required.
   `paired`: w <- factor w + first behind[0] + second behind[1], the margins of two rows ahead, and
   their dot product, which tells how the step of the first changes the margin of the second: one
   pass, and one latency of its sums, for two steps.
   The rows `prefetched` are prefetched during the pass, since the processor cannot predict a
   shuffled order. `paired`, `lasso` and `averaged` are constants in every call, so that each call
   is a loop of its own without a branch. */
ALWAYS_INLINE PairMargins NAME(pass)(const T *const *behind, const T *const *ahead,
                                     const T *const *prefetched, T *restrict w,
                                     double *restrict average, ptrdiff_t n, T factor, T first,
                                     T second, T threshold, T below, int paired, int lasso,
                                     int averaged) {
    const T *restrict x0 = behind[0], *restrict x1 = behind[1], *restrict a0 = ahead[0],
        *restrict a1 = ahead[1];
    V z0[2] = {{0}}, z1[2] = {{0}}, product[2] = {{0}}, v, u0, u1;
    T r0 = 0, r1 = 0, r2 = 0, one;
    ptrdiff_t j = 0;
    /* three such rows and w would fill the first-level cache: prefetch to the second level */
    const int wide = !paired && n * sizeof(T) > 2048;
#define ADVANCE(at, k) \
    v = factor * NAME(load)(w + (at)) + first * NAME(load)(x0 + (at)); \
    if (paired) v += second * NAME(load)(x1 + (at)); \
    if (lasso) v -= NAME(clip)(v, below, threshold); \
    NAME(store)(w + (at), v); \
    u0 = NAME(load)(a0 + (at)); \
    if (paired) { \
        u1 = NAME(load)(a1 + (at)); \
        ONCE(u0); \
        ONCE(u1); \
        z1[k] += v * u1, product[k] += u0 * u1; \
    } \
    z0[k] += v * u0; \
    if (averaged) NAME(add)(average + (at), v);
    for (; j + 2 * W <= n; j += 2 * W) {
        for (int line = 0; line < (int) (2 * W * sizeof(T)); line += 64) {
            const char *next = (const char *) (prefetched[0] + j) + line;
            if (wide) PREFETCH_L2(next); else PREFETCH(next);
            if (paired) PREFETCH((const char *) (prefetched[1] + j) + line);
        }
        ADVANCE(j, 0) ADVANCE(j + W, 1)
    }
    /* the last numbers of a row may lie in a further cache line */
    for (int i = 0; i < 1 + paired; i++)
        PREFETCH(prefetched[i] + j), PREFETCH(prefetched[i] + n - 1);
    for (; j + W <= n; j += W) { ADVANCE(j, 0) }
#undef ADVANCE
    for (; j < n; j++) {
        one = factor * w[j] + first * x0[j];
        if (paired) one += second * x1[j];
        if (lasso) one -= one > threshold ? threshold : one < -below ? -below : one;
        w[j] = one;
        r0 += one * a0[j];
        if (paired) r1 += one * a1[j], r2 += a0[j] * a1[j];
        if (averaged) average[j] += one;
    }
    return (PairMargins) {NAME(sum)(z0[0] + z0[1]) + r0, NAME(sum)(z1[0] + z1[1]) + r1,
                    NAME(sum)(product[0] + product[1]) + r2};
}

/* below = 0: no prox; average = NULL: no average. Only steps without both come in pairs. */
ALWAYS_INLINE PairMargins NAME(advance)(const T *const *behind, const T *const *ahead,
                                        const T *const *prefetched, T *w, double *average,
                                        ptrdiff_t n, T factor, T first, T second, T threshold,
                                        T below, int paired) {
#define PASS(paired, lasso, averaged) \
    NAME(pass)(behind, ahead, prefetched, w, average, n, factor, first, second, threshold, below, \
               paired, lasso, averaged)
    if (paired) return PASS(1, 0, 0);
    if (below > 0) return average ? PASS(0, 1, 1) : PASS(0, 1, 0);
    return average ? PASS(0, 0, 1) : PASS(0, 0, 0);
#undef PASS
}

/* x d, |x|^2 and |d|^2, with d = w or, if `paired` (a constant in every call), d = w - v */
ALWAYS_INLINE Products NAME(products)(const T *restrict x, const T *restrict w, const T *restrict v,
                                      ptrdiff_t n, int paired) {
    V z[2] = {{0}}, a[2] = {{0}}, b[2] = {{0}}, c, d;
    T z0 = 0, a0 = 0, b0 = 0, one;
    ptrdiff_t j = 0;
#define MULTIPLY(at, k) \
    c = NAME(load)(x + (at)), d = NAME(load)(w + (at)); \
    if (paired) d -= NAME(load)(v + (at)); \
    z[k] += c * d, a[k] += c * c, b[k] += d * d;
    for (; j + 2 * W <= n; j += 2 * W) { MULTIPLY(j, 0) MULTIPLY(j + W, 1) }
    for (; j + W <= n; j += W) { MULTIPLY(j, 0) }
#undef MULTIPLY
    for (; j < n; j++) {
        one = paired ? w[j] - v[j] : w[j];
        z0 += x[j] * one, a0 += x[j] * x[j], b0 += one * one;
    }
    return (Products) {NAME(sum)(z[0] + z[1]) + z0, NAME(sum)(a[0] + a[1]) + a0,
                       NAME(sum)(b[0] + b[1]) + b0};
}

/* x <- shrink_x (x + a d), w <- shrink_w (w + b x), v <- shrink_w (v - b x), with d as above and
   the old x on the right */
ALWAYS_INLINE void NAME(update_factors)(T *restrict x, T *restrict w, T *restrict v, ptrdiff_t n,
                                        T a, T b, T shrink_x, T shrink_w, int paired) {
    ptrdiff_t j = 0;
    V c, d, e;
    for (; j + W <= n; j += W) {
        c = NAME(load)(x + j), d = NAME(load)(w + j);
        NAME(store)(w + j, shrink_w * (d + b * c));
        if (paired) {
            e = NAME(load)(v + j);
            NAME(store)(v + j, shrink_w * (e - b * c));
            d -= e;
        }
        NAME(store)(x + j, shrink_x * (c + a * d));
    }
    for (; j < n; j++) {
        const T one = x[j], other = paired ? w[j] - v[j] : w[j];
        w[j] = shrink_w * (w[j] + b * one);
        if (paired) v[j] = shrink_w * (v[j] - b * one);
        x[j] = shrink_x * (one + a * other);
    }
}
#undef V
#undef W
