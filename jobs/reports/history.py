"""What was sold before the newest half year, added up: a run reads the lines since then and no older one.

It lies beside the tables, in `work/business_metrics` of the warehouse. Each run leaves one for those that come after
it, which use it for as long as the lines that it was made from are in the table as they were.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.transactions import TRANSACTIONS
from jobs.ingest.deliveries import every_record
from jobs.platform import storage
from jobs.platform.data_files import DataFile
from jobs.platform.job import Job
from jobs.platform.settings import WEEK
from jobs.reports.passes import counted_back, dated

#: Weeks that are read line by line: churn is learnt from purchases 180 days back.
WEEKS = 26
#: Of so many newest weeks all figures follow from these lines and the totals: a cohort's look back 68 days.
RECENT_WEEKS = 12
#: Changes with what the files hold.
_FORMAT = 1
#: So many are kept: the newest, and one for a run of an earlier date.
_KEPT = 2
_FOLDER, _MARKER = "work/business_metrics", "days.parquet"


@dataclass(frozen=True)
class History:
    """The purchases before a day, added up.

    Attributes:
        since: that day.
        files: of jobs.reports.passes, by kind.
        days: baskets.daily_counts, with dates.
    """

    since: date
    files: list[tuple[str, DataFile]]
    days: pl.DataFrame

    def daily(self, as_of_date: date) -> pl.DataFrame:
        """As baskets.daily_counts counts them from the as-of date."""
        return counted_back(self.days, as_of_date)

    def weeks(self, as_of_date: date) -> int:
        """From the first purchase to the as-of date."""
        first: Any = self.days["days_before"].min()
        return 1 + ((as_of_date - first).days - 1) // WEEK.days


def newest(job: Job) -> History | None:
    """The history of the fewest weeks that a run of this as-of date can use; None where there is none."""
    as_of = job.settings.as_of_date
    for uri in reversed(_folders(job)):
        since = date.fromisoformat(uri.rsplit("/", 1)[1][:10])
        if since > as_of - WEEKS * WEEK or since.weekday() != as_of.weekday():
            continue
        with contextlib.suppress(OSError, pa.ArrowInvalid):  # one that another run removes, or has not completed
            filesystem, path = storage.filesystem(f"{uri}/{_MARKER}")
            days = pq.read_table(filesystem.open_input_file(path))
            if days.schema.metadata.get(b"lines") == _lines_before(job, since):
                files = json.loads(days.schema.metadata[b"files"])
                found = [(kind, DataFile(f"{uri}/{name}", {}, 0, {}, {})) for kind, name in files]
                return History(since, found, pl.DataFrame(days))
    return None


def leave(job: Job, daily: pl.DataFrame, used: History | None, write: Callable[[str], list[tuple[str, str]]]) -> None:
    """Keep what a run added up of the purchases before its newest WEEKS, for the next ones.

    Args:
        job: the run.
        daily: see baskets.daily_counts.
        used: the history that the run read.
        write: writes the files into a folder, and returns kind and name of each.
    """
    as_of = job.settings.as_of_date
    since = as_of - WEEKS * WEEK
    before = daily.filter(pl.col("days_before") > WEEKS * WEEK.days)
    if not len(before) or (used and used.since == since):
        return
    uri = f"{job.warehouse.root}/{_FOLDER}/{since}-{uuid.uuid4().hex[:8]}"
    filesystem, path = storage.filesystem(uri)
    filesystem.create_dir(path)
    facts = {"lines": _lines_before(job, since), "files": json.dumps(write(uri))}
    with filesystem.open_output_stream(f"{path}/{_MARKER}") as stream:
        pq.write_table(dated(before, as_of).to_arrow().replace_schema_metadata(facts), stream)
    for old in _folders(job)[:-_KEPT]:
        filesystem, path = storage.filesystem(old)
        filesystem.delete_dir(path)


def _folders(job: Job) -> list[str]:
    """Those that are there, the one of the oldest day first."""
    uri = f"{job.warehouse.root}/{_FOLDER}"
    filesystem, path = storage.filesystem(uri)
    found = filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    return sorted(f"{uri}/{info.base_name}" for info in found if info.type == pafs.FileType.Directory)


def _lines_before(job: Job, day: date) -> bytes:
    """Which lines before that day the table has, with which keys.

    That is how many of each delivered file, by its checksum and the version it came with, and the identity of the
    tables: in one that was made anew a customer may have another key, and repaired keys come with a new version.
    """
    counts: Counter[str] = Counter()
    for file in job.data_files(TRANSACTIONS):
        if file.is_before("t_dat", day):
            whole = not file.is_since("t_dat", day)
            rows = file.rows if whole else pc.sum(pc.less(file.read(["t_dat"])["t_dat"], pa.scalar(day))).as_py()
            counts[file.partition["source_checksum"]] += rows
    versions = {row["source_checksum"]: row["table_version"] for row in every_record(job, TRANSACTIONS)}
    lines = sorted((checksum, rows, versions.get(checksum)) for checksum, rows in counts.items() if rows)
    tables = [job.table(contract).metadata().id for contract in (ARTICLES, CUSTOMERS, TRANSACTIONS)]
    return json.dumps([_FORMAT, tables, lines]).encode()
