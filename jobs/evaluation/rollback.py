"""Take the champion back: the version that was promoted before it is champion again.

Not a task of the DAG: `python -m jobs.evaluation.rollback --as-of-date 2020-09-16 --warehouse warehouse`, or
`make rollback`. The date identifies the champion: the one that a run of that date would publish with, so doing it
twice takes one version back, not two. The verdict on that version is replaced in `model_decisions`: later runs, and
reruns of the gate, go by it. `ranking.score` and what follows it publish the older version's picks.
"""

from __future__ import annotations

import pyarrow as pa

from expectations.evaluation import MODEL_DECISIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.tracking import describe_version, set_champion, use_tracking
from jobs.ranking.model_registry import decisions, promotions, reason_of

READS, WRITES = (), (MODEL_DECISIONS,)
SETTINGS = ("accept_drift", "mlflow_tracking_uri", "model_name")


def main(job: Job) -> str:
    return job.transact(lambda: roll_back(job))


def roll_back(job: Job) -> str:
    """Take the champion of the as-of date back, unless that was done; returns the job's summary."""
    settings = job.settings
    use_tracking(settings)
    promoted = promotions(job).usable
    done = [row for row in decisions(job) if row["rolled_back_date"] == settings.as_of_date]
    before = sorted(day for day in promoted if day <= settings.as_of_date)
    if done and before and before[-1] < done[-1]["as_of_date"]:
        restored = before[-1]
        words = (
            f"version {done[-1]['model_version']} was rolled back as of {settings.as_of_date} before; "
            f"champion: version {promoted[restored]} of {restored}"
        )
    elif len(before) < 2:
        last = f"version {promoted[before[0]]} is the only one" if before else "no version was"
        raise JobError(f"{settings.model_name}: nothing to roll back to, {last} promoted by {settings.as_of_date}")
    else:
        *_, restored, taken_back = before
        version = promoted.pop(taken_back)
        (row,) = (row for row in decisions(job) if row["as_of_date"] == taken_back)
        row |= {
            "is_promoted": False,
            "reason": f"rolled back as of {settings.as_of_date}; {row['reason']}",
            "rolled_back_date": settings.as_of_date,
            "run_id": settings.run_id,
        }
        table = pa.Table.from_pylist([row], schema=arrow_schema(MODEL_DECISIONS))
        job.publish(MODEL_DECISIONS, table, {"as_of_date": [taken_back]}, derived_from=[MODEL_DECISIONS])
        said = f"As of {settings.as_of_date}, by run {settings.run_id}."
        describe_version(settings.model_name, version, "Rolled back", said, verdict="rolled back")
        words = (
            f"version {version} of {taken_back} rolled back as of {settings.as_of_date}; "
            f"champion again: version {promoted[restored]} of {restored}"
        )
    newest = max(promoted)
    # Also where a killed rollback did not get to it.
    set_champion(settings.model_name, promoted[newest], reason_of(job, newest))
    if newest > settings.as_of_date:
        words += f"; the alias champion stays with version {promoted[newest]} of {newest}, a later week"
    return words


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
