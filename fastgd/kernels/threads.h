/* Threads: OpenMP where the compiler has it, and a team of threads that shares blocks of work. */
#ifndef FASTGD_THREADS_H
#define FASTGD_THREADS_H
#ifdef _OPENMP
#include <omp.h>
static inline int has_openmp(void) { return 1; }
static inline int max_threads(void) { return omp_get_max_threads(); }
#else
static inline int has_openmp(void) { return 0; }
static inline int max_threads(void) { return 1; }
#endif
#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__) && !defined(_WIN32)
#include <pthread.h>
/* A child of fork() inherits libgomp's pool without its threads, and would wait for them forever in
   its first parallel region. So the forking thread ends its pool before it forks; the next parallel
   region starts new threads. The C library's handler is used because it also runs for forks made in
   C, unlike Python's hooks. (LLVM's OpenMP has a handler of its own.) */
static inline void end_pool(void) { omp_pause_resource_all(omp_pause_hard); }
static inline int survive_forks(void (*before)(void)) {
    int error = pthread_atfork(before, NULL, NULL);
    return error ? error : pthread_atfork(end_pool, NULL, NULL);
}
#else
static inline int survive_forks(void (*before)(void)) { (void) before; return 0; }
#endif

/* A team exists for a whole epoch, in one parallel region. Its leader posts jobs of `count` blocks,
   and every free thread claims the next block. The leader works too, and waits only for blocks that
   another thread has begun. So a job costs a fraction of a microsecond, and a thread that the
   system has suspended between blocks delays nobody. `ticket` holds the job's number, its count and
   the number of blocks claimed in one word, so that a claim is valid for exactly the job that it
   has read. */
typedef struct {
    unsigned long long ticket;
    char padding[120]; /* `done` has a cache line of its own */
    unsigned long long done, count;
    int over;
} Team;

#define BLOCK_BITS 20 /* a job has fewer than 2^20 blocks */
#define BLOCK_MASK ((1ULL << BLOCK_BITS) - 1)

#if defined(_OPENMP) && defined(__GNUC__)
#include <sched.h>
#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
/* It takes about as long as a pause on x86; `yield` does nothing on most processors. */
#define PAUSE() __asm__ volatile("isb")
#else
#define PAUSE()
#endif
/* Pauses, some tens of microseconds, before a waiting thread yields its processor. */
#define PAUSES_BEFORE_YIELD 2000

static inline int can_share(void) { return 1; }

static inline void team_start(Team *team) {
    team->ticket = team->count = team->done = 0;
    team->over = 0;
}

/* Call it when all that the blocks read has been written, and the previous job is done. */
static inline void team_post(Team *team, long long count) {
    /* A thread that claims in vain may still be looking at the ticket. */
    unsigned long long job = (__atomic_load_n(&team->ticket, __ATOMIC_RELAXED) >> 2 * BLOCK_BITS) + 1;
    team->count = count;
    __atomic_store_n(&team->done, 0, __ATOMIC_RELAXED);
    unsigned long long blocks = (unsigned long long) count << BLOCK_BITS;
    __atomic_store_n(&team->ticket, job << 2 * BLOCK_BITS | blocks, __ATOMIC_RELEASE);
}

/* The number of the next block of the job; -1: none is left. */
static inline long long team_claim(Team *team) {
    unsigned long long ticket = __atomic_load_n(&team->ticket, __ATOMIC_ACQUIRE);
    do {
        if ((ticket & BLOCK_MASK) >= (ticket >> BLOCK_BITS & BLOCK_MASK)) return -1;
    } while (!__atomic_compare_exchange_n(&team->ticket, &ticket, ticket + 1, 0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    return ticket & BLOCK_MASK;
}

static inline void team_finish_block(Team *team) {
    __atomic_fetch_add(&team->done, 1, __ATOMIC_RELEASE);
}

static inline void team_pause(int *pauses) {
    PAUSE();
    if (++*pauses > PAUSES_BEFORE_YIELD) sched_yield();
}

static inline int team_is_done(Team *team) {
    return __atomic_load_n(&team->done, __ATOMIC_ACQUIRE) >= team->count;
}

static inline void team_end(Team *team) { __atomic_store_n(&team->over, 1, __ATOMIC_RELEASE); }
static inline int team_is_over(Team *team) {
    return __atomic_load_n(&team->over, __ATOMIC_ACQUIRE);
}

/* Publish and read the number of finished steps, for threads that depend on them. */
static inline void steps_reach(long long *done, long long count) {
    __atomic_store_n(done, count, __ATOMIC_RELEASE);
}
static inline int steps_have_reached(const long long *done, long long count) {
    return __atomic_load_n(done, __ATOMIC_ACQUIRE) >= count;
}
#else /* one thread: no atomics needed */
static inline int can_share(void) { return 0; }
static inline void team_start(Team *team) {
    team->ticket = team->count = team->done = 0, team->over = 0;
}
static inline void team_post(Team *team, long long count) { team->ticket = 0, team->count = count; }
static inline long long team_claim(Team *team) {
    return team->ticket < team->count ? (long long) team->ticket++ : -1;
}
static inline void team_finish_block(Team *team) { team->done++; }
static inline void team_pause(int *pauses) { ++*pauses; }
static inline int team_is_done(Team *team) { (void) team; return 1; }
static inline void team_end(Team *team) { team->over = 1; }
static inline int team_is_over(Team *team) { return team->over; }
static inline void steps_reach(long long *done, long long count) { *done = count; }
static inline int steps_have_reached(const long long *done, long long count) {
    return *done >= count;
}
#endif
#endif
