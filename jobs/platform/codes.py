"""Codes that stand for customers and articles in arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Codes, days and counts.
Ints = npt.NDArray[np.int32]
#: Pads rows of a matrix of article codes that hold fewer articles than its width.
NO_ARTICLE = -1
