"""The line search of More and Thuente (ACM TOMS 1994), as MINPACK-2 has it: one step at a time."""

cdef enum Verdict:
    GO_ON
    ACCEPT
    GIVE_UP

cdef struct Point:
    double step, value, slope

# A search along a line. The interval (low, other) holds a good step, low the best of all so far.
cdef struct Search:
    Point start, low, other
    double step, least, most    # the next step, and where it may lie
    double width, older_width
    # the shortest step that is known to leave the domain; the longest step allowed
    double limit, farthest
    # curved: a step with sufficient decrease and a rising cost has been met
    bint bracketed, curved
    bint arc                    # weak Wolfe conditions: a kink may have no step with a flat slope
    bint settled                # `step` is the best trial once more
    bint outside                # a trial was off the domain
    int trials

cdef void begin_search(Search *at, double value, double slope, double step,
                       bint arc) noexcept nogil
cdef Verdict check_step(Search *at, double value, double slope, double promised,
                        double noise) noexcept nogil
