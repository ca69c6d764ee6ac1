"""Which registered version a run may use: decided by as-of dates, never by what happens to be newest.

A version is registered with the as-of date it was trained for. A rerun of a date supersedes that date's version; a
backfill of an older week sees the champions of its own past only.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from expectations.evaluation import MODEL_DECISIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.platform.tracking import find_versions
from jobs.ranking.inputs import INPUTS_DIGEST


def version_of_run(settings: Settings) -> str:
    """The version trained for the run's as-of date, the newest if it was trained again.

    Raises JobError when there is none.
    """
    versions = find_versions(settings.model_name, as_of_date=settings.as_of_date.isoformat())
    if not versions:
        raise JobError(f"{settings.model_name}: no version of {settings.as_of_date} is registered; run ranking.train")
    return versions[0].version


def decisions(job: Job) -> list[dict[str, Any]]:
    """The gate's verdicts on this model, one row for each as-of date that has one, the oldest first."""
    if not job.exists(MODEL_DECISIONS):
        return []
    rows = job.read_arrow(MODEL_DECISIONS).to_pylist()
    rows = [row for row in rows if row["model_name"] == job.settings.model_name]
    return sorted(rows, key=lambda row: row["as_of_date"])


def promotions(job: Job) -> dict[date, str]:
    """The promoted version of each as-of date that has one; those that need other inputs are passed over.

    Such a version was trained by other code: it can neither publish nor be compared with. A version that was rolled
    back is promoted no more.
    """
    promoted = {row["as_of_date"]: row["model_version"] for row in decisions(job) if row["is_promoted"]}
    if not promoted:
        return {}
    name = job.settings.model_name
    usable = {version.version for version in find_versions(name, inputs=INPUTS_DIGEST)}
    if others := sorted(set(promoted.values()) - usable, key=int):
        print(f"{name}: passing over version {', '.join(others)}, trained with other inputs than this code's")
    return {day: version for day, version in promoted.items() if version in usable}


def reason_of(job: Job, as_of_date: date) -> str:
    """Why the version of that as-of date was promoted, or was not, in the gate's words."""
    (row,) = (row for row in decisions(job) if row["as_of_date"] == as_of_date)
    return str(row["reason"])


def rolled_back(job: Job) -> dict[str, date]:
    """The versions that somebody took back, and as of which date."""
    return {row["model_version"]: row["rolled_back_date"] for row in decisions(job) if row["rolled_back_date"]}


def newest(promoted: dict[date, str], until: date) -> str | None:
    """The version promoted last, up to and including an as-of date."""
    dates = [day for day in promoted if day <= until]
    return promoted[max(dates)] if dates else None


def champion_as_of(job: Job) -> str | None:
    """The version that the run publishes with; None: there is none that it can use."""
    return newest(promotions(job), job.settings.as_of_date)


def incumbent(job: Job) -> str | None:
    """The champion that the run's model must beat: promoted at least a week earlier, so that it has not learnt from
    the label week."""
    return newest(promotions(job), job.settings.as_of_date - WEEK)
