/* What OpenMP offers, or its absence. */
#ifdef _OPENMP
#include <omp.h>
static int has_openmp(void) { return 1; }
static int max_threads(void) { return omp_get_max_threads(); }
#else
static int has_openmp(void) { return 0; }
static int max_threads(void) { return 1; }
#endif
#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__)
/* libgomp's idle threads do not survive fork(): let them go before it, the next region makes new ones */
static void release_threads(void) { omp_pause_resource_all(omp_pause_hard); }
#else
static void release_threads(void) {}
#endif
