"""The order of an epoch's visits: a random permutation of the rows, or one that stays near the
memory it is in.
"""

import numpy as np
from numpy.typing import NDArray

def shuffle(values: NDArray[np.intp], seed: int) -> None: ...
def shuffle_blocks(
    rows: NDArray[np.intp],
    out: NDArray[np.intp],
    blocks: NDArray[np.intp],
    block: int,
    pool: int,
    seed: int,
) -> None: ...
def sample(
    rows: NDArray[np.intp], expected: NDArray[np.float64], out: NDArray[np.intp], seed: int
) -> None: ...
