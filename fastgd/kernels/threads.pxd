"""Teams of OpenMP threads; see threads.h."""

cdef enum:
    PARALLEL_WORK = 524288      # multiplications worth several threads: a tenth of a millisecond

cdef int region_threads(int most) noexcept nogil

cdef extern from "threads.h" nogil:
    int has_openmp()
    int max_threads()
    int survive_forks(void (*prepare)())
    bint can_share()

    ctypedef struct Team:
        pass

    void team_start(Team *team)
    void team_post(Team *team, long long count)
    long long team_claim(Team *team)
    void team_finish_block(Team *team)
    void team_pause(int *pauses)
    bint team_is_done(Team *team)
    void team_end(Team *team)
    bint team_is_over(Team *team)
    void steps_reach(long long *done, long long count)
    bint steps_have_reached(const long long *done, long long count)
