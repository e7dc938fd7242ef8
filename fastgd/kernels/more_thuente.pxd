"""The line search of More and Thuente (ACM TOMS 1994), as MINPACK-2 has it: one step at a time."""

cdef enum Verdict:
    GO_ON
    ACCEPT
    GIVE_UP

cdef struct LinePoint:
    double step, value, slope

# A search along a line. The interval between low and high contains an acceptable step; low is the
# best trial so far.
cdef struct Search:
    LinePoint start, low, high
    double step                 # the next trial
    double min_step, max_step   # the range of the next trial
    double width, older_width   # of the interval, now and one iteration before
    double domain_end           # the shortest step known to leave the domain
    double longest              # the longest step allowed
    bint bracketed
    bint second_stage           # a step with sufficient decrease and a rising cost has been seen
    bint arc                    # weak Wolfe conditions: at a kink no step may have a small slope
    bint final                  # `step` is the best trial, to be evaluated once more
    bint outside                # a trial was outside the domain
    int trials

cdef void begin_search(Search *at, double value, double slope, double step,
                       bint arc) noexcept nogil
cdef Verdict check_step(Search *at, double value, double slope, double predicted,
                        double noise) noexcept nogil
