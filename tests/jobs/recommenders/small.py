"""Shops in which what is bought next is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jobs.recommenders import recurrent, self_attentive
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.sequence_model import Sequences
from jobs.retrieval.purchases import Purchases
from tests.jobs.retrieval.small import on, purchases

AS_OF_DAY = 30
#: Every system of this stage by its name.
SYSTEMS: dict[str, Callable[..., Sequences]] = {
    **{cell: partial(recurrent.fit, cell=cell) for cell in ("rnn", "lstm", "gru")},
    "gru_features": partial(recurrent.fit, with_features=True),
    "self_attentive": self_attentive.fit,
    "self_attentive_features": partial(self_attentive.fit, with_features=True),
}


def known(history: Purchases, folder: Path, **changes: Any) -> TrainingContext:
    """What is known of a history before AS_OF_DAY, with three random features of each article."""
    features = np.random.default_rng(0).normal(size=(len(history.article_ids), 3)).astype(np.float32)
    facts = {"features": features, "epochs": 2, "seed": 5, **changes}
    return TrainingContext(history=history.before(on(AS_OF_DAY)), as_of_date=on(AS_OF_DAY), folder=folder, **facts)


def circle(customers: int = 40, articles: int = 7, length: int = 11) -> Purchases:
    """Everybody buys one article a day, after each the next one: 0, 1, ... and 0 again; begun anywhere."""
    lines = [(day, who, (who + day) % articles) for who in range(customers) for day in range(length)]
    return purchases(lines, customers, articles)
