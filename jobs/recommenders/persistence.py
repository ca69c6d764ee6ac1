"""Systems as candidate sources of the two-stage model: fitted and saved with it, without pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from safetensors.numpy import load_file, save_file

from jobs.platform.settings import Settings
from jobs.recommenders.events import Reading
from jobs.recommenders.recommender import Persistable, State, TrainingContext
from jobs.recommenders.registry import SYSTEMS, fit_of
from jobs.retrieval.purchases import Purchases

#: Code that makes a system's fit.
SYSTEMS_CODE = (
    "jobs/baskets/*.py",
    "jobs/recommenders/*.py",
    "jobs/ranking/*.py",
    "jobs/retrieval/*.py",
    "jobs/platform/lightning.py",
    "lightning_modules/*.py",
)
#: What one event is, for systems that take a reading: two units of a size are one decision.
READING: Reading = "merged_lines"


def fit_sources(
    names: Sequence[str], purchases: Purchases, as_of_date: date, settings: Settings, folder: Path
) -> dict[str, Persistable]:
    """The named systems, fitted on what was bought before a date.

    Args:
        folder: of their checkpoints, from which a killed fit resumes.
    """
    history = purchases.before(as_of_date)
    features = np.zeros((len(history.article_ids), 0), dtype=np.float32)  # systems that are saved use none
    fitted: dict[str, Persistable] = {}
    for name in names:
        print(f"{name}: fitted on {len(history):,} units before {as_of_date}")
        known = TrainingContext(history, as_of_date, features, settings.system_epochs, settings.seed, folder / name)
        fitted[name] = cast(Persistable, fit_of(name, READING)(known))
    return fitted


def save(name: str, model: Persistable, folder: Path) -> None:
    """Arrays as safetensors; options and the articles' ids as JSON."""
    state = model.state()
    save_file({key: np.ascontiguousarray(array) for key, array in state.arrays.items()}, folder / f"{name}.safetensors")
    signature = {"options": state.options, "articles": state.articles.to_pylist()}
    (folder / f"{name}.json").write_text(json.dumps(signature))


def load(name: str, folder: Path) -> Persistable:
    """What `save` wrote."""
    signature = json.loads((folder / f"{name}.json").read_text())
    articles = pa.array(signature["articles"], pa.string())
    state = State(articles, load_file(folder / f"{name}.safetensors"), signature["options"])
    return import_module(SYSTEMS[name].module).restored(state)
