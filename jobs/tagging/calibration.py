"""From logits to probabilities that can be taken at their word, and when to say "unknown"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

#: Fewer articles are too few to estimate weights or a threshold.
MIN_ARTICLES = 50
#: So many logits of a network are enough to estimate its weight.
LOGITS = 4_000_000
#: No network's logits count more.
LARGEST = 12.0
#: The threshold that a right tag is worth as much as a wrong one costs at, if probabilities are right.
DEFAULT_THRESHOLD = 0.5
_BINS = 15


def weights(logits: Floats, codes: Ints, log_frequency: Floats) -> Floats:
    """What the logits of each network count, and last how frequent a class is, [m + 1]: the least cross-entropy.

    Of one network that is scaling by a temperature ("On Calibration of Modern Neural Networks", 4.2), of several also a
    choice among them ("Stacked Generalization"). Where there are too few articles, all networks count alike.

    Args:
        logits: of m networks, [m, n, k].
        codes: the catalogue's, [n].
        log_frequency: see `probabilities`.
    """
    even = np.append(np.full(len(logits), 1 / len(logits)), 0.0)
    if len(codes) < MIN_ARTICLES:
        return even
    enough = max(LOGITS // logits.shape[2], MIN_ARTICLES)
    some = np.linspace(0, len(codes) - 1, min(len(codes), enough)).astype(np.int64)
    codes, parts, rows = codes[some], _parts(logits[:, some], log_frequency), np.arange(len(some))
    right = parts[:, rows, codes].mean(1)

    def loss(given: Floats) -> tuple[float, Floats]:
        logs = log_softmax(np.tensordot(given, parts, 1), axis=1)
        slope = np.einsum("nk,mnk->m", np.exp(logs), parts) / len(codes) - right
        return -float(logs[rows, codes].mean()), slope

    return np.asarray(minimize(loss, even, jac=True, bounds=[(0, LARGEST)] * len(even), method="L-BFGS-B").x)


def probabilities(logits: Floats, weights: Floats, log_frequency: Floats) -> Floats:
    """Softmax over the classes of the weighted sum, [n, k].

    What is known before, how frequent a class is, has a weight of its own: a label that pictures say nothing of then
    has its frequencies as probabilities, and none is sure of anything else.

    Args:
        logits: of m networks, [m, n, k].
        weights: [m + 1].
        log_frequency: log of each class's share among the articles trained on, [k].
    """
    return softmax(np.tensordot(weights, _parts(logits, log_frequency), 1), axis=1)


def _parts(logits: Floats, log_frequency: Floats) -> Floats:
    return np.concatenate([logits, np.broadcast_to(log_frequency, (1, *logits.shape[1:]))])


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
