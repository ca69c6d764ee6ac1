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


def temperature(logits: Floats, codes: Ints, log_frequency: Floats | None = None) -> float:
    """The temperature that gives the least cross-entropy ("On Calibration of Modern Neural Networks", 4.2).

    1 where there are too few articles. See `probabilities`.
    """
    if len(codes) < MIN_ARTICLES:
        return 1.0
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(_scaled(logits, np.exp(log_temperature), log_frequency), axis=1)[rows, codes].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.5, 4.5), method="bounded").x))


def probabilities(logits: Floats, temperature: float, log_frequency: Floats | None = None) -> Floats:
    """Softmax over the classes, [n, k].

    What the picture says is divided by the temperature. What is known before, how frequent a class is, is not: a label
    that pictures say nothing of then has its frequencies as probabilities, and none is sure of anything else.

    Args:
        logits: [n, k].
        log_frequency: log of each class's share among the articles trained on, [k]; None: all are as frequent.
    """
    return softmax(_scaled(logits, temperature, log_frequency), axis=1)


def _scaled(logits: Floats, temperature: float, log_frequency: Floats | None) -> Floats:
    if log_frequency is None or temperature <= 1:
        return logits / temperature
    return (logits - log_frequency) / temperature + log_frequency


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
