"""From logits to probabilities that can be taken at their word, and when to say "unknown"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

#: Fewer articles say nothing about a temperature or a threshold.
MIN_ARTICLES = 50
#: The threshold that a right tag is worth as much as a wrong one costs at, if probabilities are right.
DEFAULT_THRESHOLD = 0.5
_BINS = 15


def temperature(logits: Floats, codes: Ints) -> float:
    """What logits [n, k] are divided by for the least cross-entropy ("On Calibration of Modern Neural Networks", 4.2).

    1 where there are too few articles.
    """
    if len(codes) < MIN_ARTICLES:
        return 1.0
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, codes].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded").x))


def probabilities(logits: Floats, temperature: float) -> Floats:
    """Softmax over the classes, [n, k]."""
    return softmax(logits / temperature, axis=1)


def threshold(confidence: Floats, is_right: npt.NDArray[np.bool_]) -> float:
    """The least probability that a tag is given with: right tags less wrong ones are then most.

    Args:
        confidence: probability of each article's likeliest class, [n].
        is_right: whether it is the catalogue's.
    """
    if len(confidence) < MIN_ARTICLES:
        return DEFAULT_THRESHOLD
    order = np.argsort(-confidence, kind="stable")
    gain = np.cumsum(np.where(is_right[order], 1, -1))
    best = int(gain.argmax())
    return float(confidence[order][best]) if gain[best] > 0 else 1.0


def calibration_error(confidence: Floats, is_right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart on average, over bins of equal width."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - is_right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)
    ]
    return float(sum(gaps))
