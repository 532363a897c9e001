"""Name the numpy and scipy array types that the mathematics shares."""

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
# Scores of many customers on many products: half the memory, and only their order matters.
ScoreArray = npt.NDArray[np.float32]
SparseArray: TypeAlias = "sparse.csr_array[np.float32, tuple[int, int]]"
