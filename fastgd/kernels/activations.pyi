"""Activation functions of networks."""

from enum import IntEnum

class Activation(IntEnum):
    IDENTITY = 0
    LOGISTIC = 1
    TANH = 2
    RELU = 3
    LEAKY_RELU = 4
    GELU = 5
    SILU = 6
    SOFTPLUS = 7
