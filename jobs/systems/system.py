"""What a recommender system is here: fitted as of a date, then asked for anybody's picks as of that or a later one.

Every system, a matrix factorisation or a network, is one file with a `fit` function; `jobs.systems.registry` knows them
by name, and the same jobs judge them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Floats, Source


@dataclass(frozen=True)
class Known:
    """What a system may learn from.

    Attributes:
        history: purchases, all before `as_of_date`.
        as_of_date: nothing dated on or after it touches the fit.
        features: numbers of each article as of that date, standardised, 0 for unknown, (articles, d) float32; d may
            be 0.
        epochs: passes of a network over the history; other systems know how many they need.
        seed: of every random choice.
        folder: for checkpoints of a fit that takes long; a fit that was killed resumes from there.
    """

    history: Purchases
    as_of_date: date
    features: Floats
    epochs: int
    seed: int
    folder: Path


class Model(Protocol):
    """A fitted system."""

    def at(self, history: Purchases, as_of_date: date, count: int) -> Source:
        """Ready to pick `count` articles for any customers, from those on sale in `history`.

        Args:
            history: purchases, all before `as_of_date`: at least those the model was fitted on, and those since.
        """


class Fit(Protocol):
    """How a system is fitted; every file of a system has one."""

    def __call__(self, known: Known) -> Model: ...
