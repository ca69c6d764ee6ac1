"""Interaction features: one row per unit bought in the recent weeks of a run, with its calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from expectations.features import INTERACTION_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features.ledger import DAY
from jobs.features.snapshots import require_fresh
from jobs.platform.data_files import DataFile
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import WEEK
from jobs.platform.spark import in_parallel
from jobs.platform.staging import Staged

READS, WRITES = (TRANSACTIONS,), (INTERACTION_FEATURES,)

_WEDNESDAY = 3  # ISO weekday
_BOUGHT = (DAY, "customer_id", "article_id", "price", "sales_channel_id")


def transform(transactions: pa.Table, week: date) -> pa.Table:
    """One row per transaction line of the week [week, week + 7 days), a Wednesday's."""
    day = transactions[DAY]
    bought = transactions.filter(pc.and_(pc.greater_equal(day, week), pc.less(day, week + WEEK)))
    weekday = pc.day_of_week(bought[DAY], count_from_zero=False)
    columns = {name: bought[name] for name in _BOUGHT} | {
        "week_start_date": pa.repeat(week, bought.num_rows),
        "day_of_week": weekday,
        "month": pc.month(bought[DAY]),
        "is_weekend": pc.greater_equal(weekday, 6),
    }
    return pa.table(columns).select(INTERACTION_FEATURES.column_names).cast(arrow_schema(INTERACTION_FEATURES))


def publish_weeks(job: Job, weeks: Sequence[date]) -> int:
    """Compute these weeks' slices from the files that know them, and publish them; returns the number of rows."""
    first, end = min(weeks), max(weeks) + WEEK
    files = [file for file in job.data_files(TRANSACTIONS) if file.is_since(DAY, first) and file.is_before(DAY, end)]
    with job.staging(INTERACTION_FEATURES) as staged:
        paths = in_parallel(job.context, partial(_write, weeks, staged), files)
        return job.publish_staged(staged, [path for some in paths for path in some], {"week_start_date": weeks})


def _write(weeks: Sequence[date], staged: Staged, file: DataFile) -> list[str]:
    """Write the rows of one file of transactions, week by week; returns their paths."""
    transactions = file.read(_BOUGHT)
    rows = ((week, transform(transactions, week)) for week in weeks)
    return [staged.write(table, week_start_date=week.isoformat()) for week, table in rows if table.num_rows]


def main(job: Job) -> str:
    as_of = job.settings.as_of_date
    if as_of.isoweekday() != _WEDNESDAY:
        raise JobError(f"as-of-date {as_of} is a {as_of:%A}: weeks run Wednesday to Wednesday, give a Wednesday")
    weeks = job.settings.interaction_weeks  # every week ends on or before the as-of date
    require_fresh(job)
    count = publish_weeks(job, weeks)
    return f"{count:,} rows in {len(weeks)} weeks from {weeks[-1]} until {as_of}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
