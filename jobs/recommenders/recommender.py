"""The interface of a recommender system: fitted as of a date, it recommends as of that date or a later one.

Every system, from nearest neighbours to the two-stage model, is one module with a `fit` function;
`jobs.recommenders.registry` lists them by name, and the same jobs judge them all. A system that can be saved (`State`)
has a function `restored` too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.platform.codes import Ints
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Floats, Source


@dataclass(frozen=True)
class TrainingContext:
    """What a system may learn from.

    Attributes:
        history: purchases, all before `as_of_date`.
        as_of_date: nothing dated on or after it touches the fit.
        features: of each article, those that the registry names for the system, 0 for unknown, (articles, d) float32;
            d may be 0.
        epochs: passes of a network over the history; other systems have their own number.
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

    def __call__(self, known: TrainingContext) -> Model: ...


@dataclass(frozen=True)
class State:
    """All there is to a fitted system, as it is saved.

    Attributes:
        articles: ids that the arrays' rows stand for, ascending: codes are another catalogue's tomorrow.
        arrays: numbers by name.
        options: what JSON can hold.
    """

    articles: pa.StringArray = field(default_factory=lambda: pa.array([], pa.string()))
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


class Persistable(Model, Protocol):
    """A fitted system that can be saved."""

    def state(self) -> State:
        """From which `restored` of the same module makes a model with the same picks."""


def rows_and_codes(articles: pa.StringArray, history: Purchases) -> tuple[np.ndarray, Ints]:
    """Which of these articles the catalogue of a history has, as ascending positions, and their codes there."""
    codes = pc.index_in(articles, value_set=history.article_ids)
    rows = np.flatnonzero(codes.is_valid().to_numpy(zero_copy_only=False))
    return rows, codes.drop_null().to_numpy().astype(np.int32)
