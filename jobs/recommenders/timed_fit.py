"""A system fitted as of a date by its name, with the time and memory that it takes."""

from __future__ import annotations

import hashlib
import resource
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jobs.platform.code import code_digest
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.recommenders.events import Reading
from jobs.recommenders.persistence import SYSTEMS_CODE
from jobs.recommenders.recommender import Model, TrainingContext
from jobs.recommenders.registry import SYSTEMS, fit_of
from jobs.recommenders.side_features import SideFeatures, image_features, no_features, side_features
from jobs.retrieval.purchases import Purchases


@dataclass(frozen=True)
class Fitted:
    """A fitted system.

    Attributes:
        seconds: wall time of the fit alone.
        features: side features of the articles that it was given.
        folder: of its checkpoints; `forget` removes it once all that the model is for is published.
    """

    model: Model
    seconds: float
    features: SideFeatures
    folder: Path

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def fitted(job: Job, history: Purchases, as_of_date: date, reading: Reading = "merged_lines") -> Fitted:
    """The system that the settings name, fitted on a history that ends before that date.

    `reading` is what one event is, for the systems that take it. Raises JobError where the history is empty.
    """
    settings = job.settings
    if not len(history):
        raise JobError(f"silver/transactions: no purchase before {as_of_date} for {settings.system} to learn from")
    features = features_of(job, history, as_of_date)
    folder = checkpoints(settings, history, as_of_date, features)
    folder.mkdir(parents=True, exist_ok=True)
    fit = fit_of(settings.system, reading, job)
    started = time.perf_counter()
    model = fit(TrainingContext(history, as_of_date, features.values, settings.system_epochs, settings.seed, folder))
    return Fitted(model, time.perf_counter() - started, features, folder)


def features_of(job: Job, history: Purchases, as_of_date: date) -> SideFeatures:
    """The features that the system looks at."""
    features = SYSTEMS[job.settings.system].features
    if features == "side":
        return side_features(job, history, as_of_date)
    return image_features(job, history) if features == "images" else no_features(history)


def checkpoints(settings: Settings, history: Purchases, as_of_date: date, features: SideFeatures) -> Path:
    """The folder of a fit's checkpoints: another one wherever the fit would be another."""
    limits = (settings.system, str(as_of_date), settings.system_epochs, settings.seed, len(history.customer_ids))
    digest = hashlib.sha256(repr(limits).encode())
    digest.update(code_digest(SYSTEMS_CODE))
    digest.update("\n".join(history.article_ids.to_pylist()).encode())
    for array in (history.day, history.customer, history.article, features.values):
        digest.update(array.tobytes())
    return settings.work_dir / "checkpoints" / f"{settings.system}-{as_of_date}-{digest.hexdigest()[:16]}"


def peak_mib() -> float:
    """Peak resident memory so far of this process, plus that of each process that it started, as far as they live.

    Spark is such a process.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak + sum(_peak_kib(child) for child in _descendants(Path("/proc/self")))) / 1024


def _descendants(process: Path) -> Iterator[Path]:
    for children in process.glob("task/*/children"):
        for child in children.read_text().split():
            yield Path("/proc", child)
            yield from _descendants(Path("/proc", child))


def _peak_kib(process: Path) -> int:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:  # ended meanwhile
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
