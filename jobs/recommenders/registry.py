"""The systems by name, each the module and the arguments that make its `fit`.

A module is imported when its system is used, so that nobody needs another one's libraries, and so that a system may
stand on layers above this one, as two_stage does. To add a system: a line here, and its name in Settings.system; the
form of the DAG model_systems follows, and tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Literal

from jobs.platform.job import Job
from jobs.recommenders.events import Reading
from jobs.recommenders.recommender import Fit

CELLS = ("rnn", "lstm", "gru")
#: What `TrainingContext.features` holds: nothing, the side features (jobs.recommenders.side_features), standardised, or
#: the image embeddings.
Features = Literal["none", "side", "images"]


@dataclass(frozen=True)
class Entry:
    """One system.

    Attributes:
        module: has the function `fit`.
        arguments: given to it beside what is known.
        features: those of `TrainingContext.features`.
        takes_reading: its `fit` takes what one event is, as `reading` (jobs.recommenders.events).
        takes_job: its `fit` takes the job that runs, as `job`, and reads feature tables, events or vectors through it.
            The former two know every purchase before their date, so that no protocol can hide one from the system.
    """

    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    features: Features = "none"
    takes_reading: bool = False
    takes_job: bool = False


def _network(module: str, with_features: bool, **arguments: str) -> Entry:
    features: Features = "side" if with_features else "none"
    return Entry(f"jobs.recommenders.{module}", arguments | {"with_features": with_features}, features, True)


SYSTEMS: dict[str, Entry] = {
    **{
        name: Entry(f"jobs.recommenders.{name}")
        for name in ("als", "als_spark", "bpr", "logistic_mf", "item_knn", "user_knn", "bought_together")
    },
    **{cell: _network("recurrent", False, cell=cell) for cell in CELLS},
    **{f"{cell}_features": _network("recurrent", True, cell=cell) for cell in CELLS},
    "self_attentive": _network("self_attentive", False),
    "self_attentive_features": _network("self_attentive", True),
    "similar_articles": Entry("jobs.recommenders.similar_articles", features="images"),
    "user_based": Entry("jobs.recommenders.user_based", takes_job=True),
    **{
        f"embedding_{space}": Entry("jobs.recommenders.embedding_filtering", {"space": space}, takes_job=True)
        for space in ("image", "text", "joint")
    },
    "two_stage": Entry("jobs.ranking.two_stage", takes_job=True),
    "two_stage_events": Entry("jobs.ranking.two_stage", {"with_events": True}, takes_job=True),
}


def fit_of(name: str, reading: Reading, job: Job | None = None) -> Fit:
    """How the named system is fitted; what one event is, and the job, go to the systems that take them."""
    entry = SYSTEMS[name]
    taken: dict[str, Any] = {"reading": reading} if entry.takes_reading else {}
    if entry.takes_job:
        taken["job"] = job
    return partial(import_module(entry.module).fit, **entry.arguments, **taken)
