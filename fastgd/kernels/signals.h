/* Ctrl-C: a kernel that runs for long lets Python's signal handlers run about every twentieth of a
   second. */
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
/* Multiplications between two looks at the clock: a fraction of a millisecond. */
#define WATCH_WORK 200000

/* Kept by the thread that called the kernel; others of its team may read `raised`. */
typedef struct {
    double next;
    long long left;
    char apart[120]; /* `raised` has a cache line of its own */
    volatile int raised;
} Watch;

static inline void watch_start(Watch *watch) {
    watch->next = seconds_now() + WATCH_SECONDS;
    watch->left = WATCH_WORK;
    watch->raised = 0;
}

/* A handler that raises leaves its exception in the thread's state, for `watch_end`. Only Python's
   main thread has handlers run. */
static int watch_look(Watch *watch) {
    PyGILState_STATE state;
    watch->left = WATCH_WORK;
    if (!watch->raised && seconds_now() >= watch->next) {
        state = PyGILState_Ensure();
        watch->raised = PyErr_CheckSignals() != 0;
        PyGILState_Release(state);
        watch->next = seconds_now() + WATCH_SECONDS;
    }
    return watch->raised;
}

/* To be called without the GIL after `work` multiplications; true: stop at once, what comes out is
   thrown away. */
static inline int watch_work(Watch *watch, long long work) {
    watch->left -= work;
    return watch->left > 0 ? watch->raised : watch_look(watch);
}

static inline int watch_is_over(const Watch *watch) { return watch->raised; }

/* With the GIL: -1 if there is an exception to go on with. */
static inline int watch_end(const Watch *watch) { return watch->raised ? -1 : 0; }
#endif
