"""Types of the arrays that are drawn with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Always float32. But numpy's types, unlike numpy, make float64 of it beside a Python float.
Float32 = NDArray[np.floating[Any]]
