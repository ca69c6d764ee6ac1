"""System: a recurrent network that predicts the next purchase, with or without side features of the articles.

Trained on session-parallel mini-batches whose hidden state is carried through all of a customer's events; picks come
from the state after all of them, as in training.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from jobs.recommenders.events import Reading
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.sequence_model import Sequences, fit_network, restored_network
from lightning_modules.recurrent import Cell, Recurrent
from lightning_modules.sessions import EventTensors, SessionBatches

#: Pairs of a lane that a step learns through: the paper's window size.
WINDOW = 10
#: Steps per epoch that the number of lanes aims at, within its limits.
STEPS_PER_EPOCH, MIN_LANES, MAX_LANES = 200, 8, 512


def fit(
    known: TrainingContext, *, cell: Cell = "gru", with_features: bool = False, reading: Reading = "merged_lines"
) -> Sequences:
    """A fitted `cell`; raises JobError where nobody bought twice."""
    name = "-".join([cell, *(["features"] if with_features else []), reading])
    return fit_network(known, reading, with_features, name, partial(Recurrent, cell), partial(batches, seed=known.seed))


#: The fitted system that was saved, from its state.
restored = partial(restored_network, Recurrent)


def batches(events: EventTensors, epoch: int, seed: int) -> SessionBatches:
    """One epoch's batches: as many lanes as the events are worth."""
    lanes = int(np.clip(int(events.pairs.sum()) // (WINDOW * STEPS_PER_EPOCH), MIN_LANES, MAX_LANES))
    return SessionBatches(events, lanes, WINDOW, seed, epoch)
