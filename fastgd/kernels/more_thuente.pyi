"""The line search of More and Thuente, for other kernels: it has C functions only."""
