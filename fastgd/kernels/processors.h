/* How many threads find a free processor. A parallel region ends when its last thread has run: a
   thread that waits for its turn on a busy processor, often 4 milliseconds, delays all others. */
#ifndef FASTGD_PROCESSORS_H
#define FASTGD_PROCESSORS_H
/* ThreadSanitizer looks for races: there all threads run, however busy the machine is. */
#if defined(_OPENMP) && defined(__linux__) && defined(_GNU_SOURCE) && !defined(__SANITIZE_THREAD__)
#include <fcntl.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Processors are counted again after this time: counting takes some 10 microseconds, and a busy
   neighbour stays for longer. */
#define NANOSECONDS_BETWEEN_COUNTS 2000000
#define MAX_COUNTED_THREADS 64

/* What a thread that starts parallel regions knows of its processors. libgomp's threads are its own
   and keep their numbers while the size of its teams stays the same; they spin for some
   milliseconds after a region, and are running then, but free. */
typedef struct {
    int ids[MAX_COUNTED_THREADS], size; /* the threads of the last team */
    int free;                           /* processors without a thread of others */
    long long counted;                  /* when, in nanoseconds */
} Processors;

static __thread Processors processors;

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The beginning of a file as a string; 0 if it cannot be read. */
static int read_start(const char *name, char *text, int size) {
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, size - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* The number of threads that run or could run on this machine; -1 if it is unknown. The file reads
   "0.20 0.18 0.12 1/80 11206", where 1 of 80 threads can run. */
static int runnable_threads(void) {
    char text[128];
    if (!read_start("/proc/loadavg", text, sizeof text)) return -1;
    char *slash = strchr(text, '/');
    while (slash && slash > text && slash[-1] != ' ') slash--;
    return slash ? atoi(slash) : -1;
}

/* Whether a thread of this process runs: its state follows its name, which is in parentheses. */
static int is_running(int id) {
    char name[64], text[128];
    snprintf(name, sizeof name, "/proc/self/task/%d/stat", id);
    if (!read_start(name, text, sizeof text)) return 0;
    char *end = strrchr(text, ')');
    return end && end[1] && end[2] == 'R';
}

static void count_processors(Processors *at, int most) {
    static long online = 0;
    if (!online) online = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t allowed;
    int others = runnable_threads() - 1;
    /* Where the process may use some processors only, nobody knows who runs on those. */
    int is_known = others >= 0 && sched_getaffinity(0, sizeof allowed, &allowed) == 0
        && CPU_COUNT(&allowed) >= online;
    for (int i = 1; i < at->size && is_known && online - others < most; i++)
        others -= is_running(at->ids[i]);
    at->free = is_known ? (others < online ? (int) online - others : 1) : most;
    at->counted = nanoseconds();
}

/* The number of threads, at most `most`, for a parallel region that begins now. */
static int threads_of_region(int most) {
    Processors *at = &processors;
    if (most < 2 || most > MAX_COUNTED_THREADS) return most;
    if (nanoseconds() >= at->counted + NANOSECONDS_BETWEEN_COUNTS) count_processors(at, most);
    int threads = most < at->free ? most : at->free;
    if (threads > 1 && threads != at->size) {
#pragma omp parallel num_threads(threads)
        at->ids[omp_get_thread_num()] = (int) syscall(SYS_gettid);
        at->size = threads;
    }
    return threads;
}

/* The threads of the last team have ended. */
static void forget_team(void) { processors.size = 0; }
#else
static inline int threads_of_region(int most) { return most; }
static inline void forget_team(void) {}
#endif
#endif
