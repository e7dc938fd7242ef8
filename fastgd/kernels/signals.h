/* Ctrl-C: a long kernel runs Python's signal handlers about every twentieth of a second. */
#ifndef FASTGD_SIGNALS_H
#define FASTGD_SIGNALS_H
#include <Python.h>
#ifdef _WIN32
#include <windows.h>
static inline double seconds_now(void) { return GetTickCount64() * 1e-3; }
#else
#include <time.h>
static inline double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}
#endif

#define WATCH_SECONDS 0.05
/* Multiplications between two readings of the clock: a fraction of a millisecond. */
#define WATCH_WORK 200000

/* Owned by the thread that called the kernel; other threads of its team may read `raised` by
   `watch_is_over`. */
typedef struct {
    double next;
    long long left;
    char padding[120]; /* `raised` has a cache line of its own */
    int raised;
} Watch;

#ifdef __GNUC__
static inline int watch_is_over(const Watch *watch) {
    return __atomic_load_n(&watch->raised, __ATOMIC_RELAXED);
}
static inline void watch_set(Watch *watch, int raised) {
    __atomic_store_n(&watch->raised, raised, __ATOMIC_RELAXED);
}
#else
static inline int watch_is_over(const Watch *watch) { return *(const volatile int *) &watch->raised; }
static inline void watch_set(Watch *watch, int raised) {
    *(volatile int *) &watch->raised = raised;
}
#endif

static inline void watch_start(Watch *watch) {
    watch->next = seconds_now() + WATCH_SECONDS;
    watch->left = WATCH_WORK;
    watch_set(watch, 0);
}

/* A handler that raises leaves its exception in the thread's state, where `watch_end` finds it.
   Python runs handlers in its main thread only. */
static int watch_check(Watch *watch) {
    PyGILState_STATE state;
    watch->left = WATCH_WORK;
    if (!watch->raised && seconds_now() >= watch->next) {
        state = PyGILState_Ensure();
        watch_set(watch, PyErr_CheckSignals() != 0);
        PyGILState_Release(state);
        watch->next = seconds_now() + WATCH_SECONDS;
    }
    return watch->raised;
}

/* Call it without the GIL after `work` multiplications. If true, return at once: the result will be
   discarded. */
static inline int watch_work(Watch *watch, long long work) {
    watch->left -= work;
    return watch->left > 0 ? watch_is_over(watch) : watch_check(watch);
}

/* Call it with the GIL; -1 if an exception is to be raised. */
static inline int watch_end(const Watch *watch) { return watch->raised ? -1 : 0; }
#endif
