"""Ctrl-C in long loops; see signals.h."""

cdef extern from "signals.h" nogil:
    ctypedef struct Watch:
        pass

    void watch_start(Watch *watch)
    bint watch_work(Watch *watch, long long work)
    bint watch_is_over(const Watch *watch)

cdef extern from "signals.h":
    int watch_end(const Watch *watch) except -1
