"""What the as-of feature tables share: the freshness gate, and snapshots of all entities on several as-of dates.

Each file of the transactions is read once as Arrow and cut by surrogate key into buckets; Spark's shuffle brings all
lines of a bucket together, and what is computed there (jobs.features.spec) is the same whatever the machines.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import date
from functools import partial

import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.operations import DELIVERIES
from expectations.transactions import TRANSACTIONS
from jobs.features.buckets import PART, cut, stage_snapshots
from jobs.features.refresh import checksum, outdated
from jobs.features.spec import DAY, FeatureSpec
from jobs.platform.data_files import DataFile
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK
from jobs.platform.slices import record, recorded
from jobs.platform.staging import Staged
from jobs.platform.tasks import in_tasks

_LOG = logging.getLogger(__name__)

#: A bucket of so many lines takes some 300 MB while it is computed.
LINES_PER_BUCKET = 2_000_000


def require_fresh(job: Job) -> None:
    """Raise JobError if the week before the as-of date has no transactions: hardly any shop is that quiet.

    A run that accepts drift goes on.
    """
    as_of = job.settings.as_of_date
    for file in job.data_files(TRANSACTIONS):
        if file.is_since(DAY, as_of - WEEK) and file.is_before(DAY, as_of):
            days = file.read([DAY])[DAY]
            if pc.any(pc.and_(pc.greater_equal(days, as_of - WEEK), pc.less(days, as_of))).as_py():
                return
    silent = f"{TRANSACTIONS.path}: no transactions from {as_of - WEEK} until the as-of date {as_of}"
    if not job.settings.accept_drift:
        raise JobError(
            f"{silent}: is a file late, or {job.settings.data} not the right directory? Where nothing was sold, go on"
            " with --accept-drift true"
        )
    _LOG.warning("%s; accepted", silent)


def publish_snapshots(job: Job, spec: FeatureSpec, dates: Sequence[date]) -> str:
    """Bring the table's slices of these dates up to date; returns the job's summary.

    Args:
        job: the running job.
        spec: the table's.
        dates: as-of dates.
    """
    return job.transact(lambda: _publish_snapshots(job, spec, dates))


def _publish_snapshots(job: Job, spec: FeatureSpec, dates: Sequence[date]) -> str:
    require_fresh(job)
    files, contract = job.data_files(TRANSACTIONS), spec.contract
    present = {part["as_of_date"] for part in job.partitions(contract)}
    known = recorded(job, contract, spec.version)
    slices = {date.fromisoformat(day): sources for day, sources in known.items() if day in present}
    deliveries = current_deliveries(job, files)
    todo = outdated(slices, deliveries, files, dates)
    if not todo:
        return f"{len(dates)} as-of dates up to {max(dates)} are there and know every file; nothing to do"
    with job.staging(contract) as staged:
        paths = [row.path for row in computed(job, spec, todo, files, staged).collect()]
        count = job.publish_staged(staged, paths, {"as_of_date": todo})
    record(job, contract, spec.version, {day.isoformat(): deliveries for day in todo})
    return f"{count:,} rows for {len(todo)} as-of dates up to {todo[-1]}"


def current_deliveries(job: Job, files: Sequence[DataFile]) -> dict[str, int]:
    """Checksum -> version of every delivery that has rows in the transactions, in the version that this run reads.

    Raises:
        TableChangedError: an ingest has brought the transactions up to date since.
        JobError: the transactions were changed by somebody else than their ingest, a restore maybe.
    """
    found = job.read_arrow(DELIVERIES, where={"table_name": [TRANSACTIONS.name]}).to_pylist()
    versions = {row["source_checksum"]: row["table_version"] for row in found if row["copy_of"] is None}
    changes = job.warehouse.changes_as_read(TRANSACTIONS, max(versions.values(), default=0))
    if changes != set() or not {checksum(file) for file in files} <= versions.keys():
        raise JobError(
            f"{TRANSACTIONS.path}: not as its ingest left it (restored, or a run was killed); run ingest.transactions"
        )
    return versions


def computed(
    job: Job, spec: FeatureSpec, dates: Sequence[date], files: Sequence[DataFile], staged: Staged
) -> DataFrame:
    """A row with the `path` of each staged file; the files hold the slices of these dates, which are ascending."""
    files = [file for file in files if file.is_before(DAY, dates[-1])]
    buckets = max(1, math.ceil(sum(file.rows for file in files) / LINES_PER_BUCKET))
    ids = job.data_files(spec.entities)
    kernel = partial(cut, files, ids, dates[-1], spec, buckets)
    parts = in_tasks(job.spark, kernel, len(files) + len(ids), PART)
    together = parts.repartitionById(buckets, F.col("bucket"))
    return together.mapInArrow(partial(stage_snapshots, spec, dates, staged), "path string")
