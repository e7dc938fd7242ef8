import numpy as np
from numpy.typing import NDArray

def xxh64(data: NDArray[np.uint8]) -> int: ...
