"""Matrix factorization: a sweep of gradient descent over the ratings in the cells of a grid."""

from typing import TypedDict, type_check_only

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

@type_check_only
class FactorizationOptions(TypedDict):  # the struct of factorization.pyx, as a dict
    loss: int
    pairwise: bool
    negatives: int
    factors: int
    biased: bool
    positive: bool
    implicit: bool
    alpha: float

@disjoint_base
class Grid:
    users: NDArray[np.int32]
    items: NDArray[np.int32]
    values: NDArray[np.float32] | NDArray[np.float64]
    cells: NDArray[np.intp]
    user_bounds: NDArray[np.int32]
    item_bounds: NDArray[np.int32]
    starts: NDArray[np.intp] | None
    met: NDArray[np.int32] | None
    blocks: int
    largest: int
    def __init__(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32] | NDArray[np.float64],
        cells: NDArray[np.intp],
        user_bounds: NDArray[np.int32],
        item_bounds: NDArray[np.int32],
        starts: NDArray[np.intp] | None = None,
        met: NDArray[np.int32] | None = None,
    ) -> None: ...

def epoch(
    grid: Grid,
    P: NDArray[np.float32] | NDArray[np.float64],
    Q: NDArray[np.float32] | NDArray[np.float64],
    user_rates: NDArray[np.float32] | NDArray[np.float64],
    item_rates: NDArray[np.float32] | NDArray[np.float64],
    pairs: NDArray[np.int32],
    options: FactorizationOptions,
    seed: int,
    threads: int,
) -> float: ...
def scores(
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    P: NDArray[np.float32] | NDArray[np.float64],
    Q: NDArray[np.float32] | NDArray[np.float64],
    out: NDArray[np.float32] | NDArray[np.float64],
    threads: int,
) -> None: ...
