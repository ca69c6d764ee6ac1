"""System: a self-attentive network that predicts the next purchase, with or without side features of the articles.

Trained on windows of a customer's events; picks come from the last window.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from jobs.recommenders.events import Reading
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.sequence_model import Sequences, fit_network, restored_network
from lightning_modules.self_attentive import WINDOW, SelfAttentive
from lightning_modules.sessions import EventTensors, WindowBatches

#: Steps per epoch that the number of windows of a batch aims at, within its limits.
STEPS_PER_EPOCH, MIN_WINDOWS, MAX_WINDOWS = 200, 8, 256


def fit(known: TrainingContext, *, with_features: bool = False, reading: Reading = "merged_lines") -> Sequences:
    """A fitted network; raises JobError where nobody bought twice."""
    name = "-".join(["self_attentive", *(["features"] if with_features else []), reading])
    return fit_network(known, reading, with_features, name, SelfAttentive, partial(batches, seed=known.seed))


#: The fitted system that was saved, from its state.
restored = partial(restored_network, SelfAttentive)


def batches(events: EventTensors, epoch: int, seed: int) -> WindowBatches:
    """One epoch's batches: as many windows in each as the events are worth."""
    windows = int((-(-events.pairs // WINDOW)).sum())
    return WindowBatches(
        events, int(np.clip(windows // STEPS_PER_EPOCH, MIN_WINDOWS, MAX_WINDOWS)), WINDOW, seed, epoch
    )
