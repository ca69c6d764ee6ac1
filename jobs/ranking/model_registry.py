"""Which registered version a run may use: decided by as-of dates, never by what happens to be newest.

A version is registered with the as-of date it was trained for. A rerun of a date supersedes that date's version; a
backfill of an older week sees the champions of its own past only.

Decisions name a version by its MLflow run and the digest of its files: in a store that begins anew, numbers come again.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from expectations.evaluation import MODEL_DECISIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.platform.tracking import ModelVersion, find_versions, load_model_folder
from jobs.ranking.inputs import INPUTS_DIGEST

_LOG = logging.getLogger(__name__)


class Identity(NamedTuple):
    """What a decision names a version by."""

    mlflow_run_id: str | None
    model_digest: str | None


@dataclass(frozen=True)
class Champion:
    """The version to use; `version` None: there is none.

    Attributes:
        passed_over: which newer champions cannot be used, and why, in words.
    """

    version: str | None
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Promotions:
    """The versions that are promoted, by as-of date; in `unusable`, why, those that this run cannot use."""

    usable: dict[date, str]
    unusable: dict[date, str]

    def newest(self, name: str, until: date) -> tuple[date | None, Champion]:
        """The version promoted last, up to and including an as-of date, whose files are what was registered."""
        passed_over: list[str] = []
        for day in sorted((day for day in {*self.usable, *self.unusable} if day <= until), reverse=True):
            if why := self.unusable.get(day) or damage(name, self.usable[day]):
                passed_over.append(f"champion of {day} passed over: {why}")
                _LOG.error("%s: %s", name, passed_over[-1])
            else:
                return day, Champion(self.usable[day], tuple(passed_over))
        return None, Champion(None, tuple(passed_over))


def identity(version: ModelVersion) -> Identity:
    """What the version is, whatever its number."""
    return Identity(version.mlflow_run_id, version.digest)


def damage(name: str, version: str) -> str | None:
    """What is wrong with the files of a registered version; None where they are what was registered."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            load_model_folder(name, version, Path(folder))
    except JobError as error:
        return str(error)
    return None


def version_of_run(settings: Settings) -> ModelVersion:
    """The version trained for the run's as-of date, the newest if it was trained again.

    Raises JobError when there is none.
    """
    versions = find_versions(settings.model_name, as_of_date=settings.as_of_date.isoformat())
    if not versions:
        raise JobError(f"{settings.model_name}: no version of {settings.as_of_date} is registered; run ranking.train")
    return versions[0]


def decisions(job: Job) -> list[dict[str, Any]]:
    """The gate's verdicts on this model, one row for each as-of date that has one, the oldest first."""
    if not job.exists(MODEL_DECISIONS):
        return []
    rows = job.read_arrow(MODEL_DECISIONS).to_pylist()
    rows = [row for row in rows if row["model_name"] == job.settings.model_name]
    return sorted(rows, key=lambda row: row["as_of_date"])


def promotions(job: Job) -> Promotions:
    """The promoted version of each as-of date that has one, as the store numbers it now.

    Unusable are those that the store does not have, and those that need other inputs: they were trained by other code,
    and can neither publish nor be compared with. A version that was rolled back is promoted no more.

    Raises JobError where the store has none of all versions that were decided on: it is lost, not new.
    """
    rows, name = decisions(job), job.settings.model_name
    promoted = [row for row in rows if row["is_promoted"]]
    if not promoted:
        return Promotions({}, {})
    versions = find_versions(name)
    require_store(job, rows, versions)
    usable, unusable = {}, {}
    for row in promoted:
        day, version = row["as_of_date"], _decided(row, versions)
        if version is None:
            unusable[day] = (
                f"version {row['model_version']} (MLflow run {row.get('mlflow_run_id')}) is not in the registry"
            )
        elif version.tags.get("inputs") != INPUTS_DIGEST:
            unusable[day] = f"version {version.version} was trained with other inputs than this code's"
        else:
            usable[day] = version.version
    return Promotions(usable, unusable)


def require_store(job: Job, rows: Iterable[Mapping[str, Any]], versions: Iterable[ModelVersion]) -> None:
    """Raise JobError where the store has none of the versions that these decisions promoted or refused.

    A run that accepts drift begins again without them.
    """
    versions, promoted = list(versions), [row for row in rows if row["is_promoted"]]
    if not promoted or any(_decided(row, versions) for row in rows):
        return
    last = promoted[-1]
    lost = (
        f"gold/model_decisions: {job.settings.model_name} version {last['model_version']} of {last['as_of_date']} is "
        f"champion, but the MLflow store {job.settings.tracking_uri} has none of the versions decided on: it is lost, "
        "or another one"
    )
    if not job.settings.accept_drift:
        raise JobError(
            f"{lost}; bring it back from a backup, give the right one by --mlflow-tracking-uri, or begin again without "
            "a champion by --accept-drift true"
        )
    _LOG.error("%s; accepted", lost)


def _decided(row: Mapping[str, Any], versions: Iterable[ModelVersion]) -> ModelVersion | None:
    """The version that a decision is about, if the store has it."""
    if run_id := row.get("mlflow_run_id"):
        wanted = Identity(run_id, row["model_digest"])
        return next((version for version in versions if identity(version) == wanted), None)
    # Decided by older code, which noted the number alone.
    as_of, number = row["as_of_date"].isoformat(), row["model_version"]
    return next((v for v in versions if v.version == number and v.tags.get("as_of_date") == as_of), None)


def reason_of(job: Job, as_of_date: date) -> str:
    """Why the version of that as-of date was promoted, or was not, in the gate's words."""
    (row,) = (row for row in decisions(job) if row["as_of_date"] == as_of_date)
    return str(row["reason"])


def rolled_back(job: Job, version: ModelVersion) -> date | None:
    """As of which date somebody took the version back; None: nobody did."""
    rows = (row for row in decisions(job) if row["rolled_back_date"])
    return next((row["rolled_back_date"] for row in rows if _decided(row, [version])), None)


def champion_as_of(job: Job) -> Champion:
    """The version that the run publishes with."""
    return promotions(job).newest(job.settings.model_name, job.settings.as_of_date)[1]


def incumbent(job: Job) -> Champion:
    """The champion that the run's model must beat: promoted at least a week earlier, so that it has not learnt from
    the label week."""
    return promotions(job).newest(job.settings.model_name, job.settings.as_of_date - WEEK)[1]
