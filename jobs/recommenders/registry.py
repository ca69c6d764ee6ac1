"""The systems by name, each the module and the arguments that make its `fit`.

A module is imported when its system is asked for, so that nobody needs another one's libraries. To add a system: a line
here, its name in Settings.system, and a line in dags/model_systems.py; tests hold the three together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from jobs.recommenders.events import Reading
from jobs.recommenders.recommender import Fit

CELLS = ("rnn", "lstm", "gru")


@dataclass(frozen=True)
class Entry:
    """One system.

    Attributes:
        module: has the function `fit`.
        arguments: given to it beside what is known.
        takes_features: whether it looks at `TrainingContext.features`, which are left empty otherwise.
        takes_reading: whether its `fit` asks what one event is, as `reading` (jobs.recommenders.events).
    """

    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    takes_features: bool = False
    takes_reading: bool = False


def _network(module: str, takes_features: bool, **arguments: str) -> Entry:
    return Entry(f"jobs.recommenders.{module}", arguments | {"with_features": takes_features}, takes_features, True)


SYSTEMS: dict[str, Entry] = {
    **{
        name: Entry(f"jobs.recommenders.{name}")
        for name in ("als", "als_spark", "bpr", "logistic_mf", "item_knn", "user_knn")
    },
    **{cell: _network("recurrent", False, cell=cell) for cell in CELLS},
    **{f"{cell}_features": _network("recurrent", True, cell=cell) for cell in CELLS},
    "self_attentive": _network("self_attentive", False),
    "self_attentive_features": _network("self_attentive", True),
}


def fit_of(name: str, reading: Reading) -> Fit:
    """How the named system is fitted, where it asks what one event is on this reading."""
    entry = SYSTEMS[name]
    asked = {"reading": reading} if entry.takes_reading else {}
    return partial(import_module(entry.module).fit, **entry.arguments, **asked)
