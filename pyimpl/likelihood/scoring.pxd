from pyimpl.likelihood.engine cimport Engine

cdef bint scoring_step(Engine engine, double[::1] theta, bint first, double[::1] out) except -1
