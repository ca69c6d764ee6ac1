"""What the as-of feature tables share: the freshness gate, and snapshots of all entities on several as-of dates.

Lines travel as numpy arrays, by column: each file of the transactions is read once, cut by surrogate key into buckets,
and all lines of a bucket come together once (jobs.platform.exchange), however many dates are asked for. What is
computed there (jobs.features.lifetimes) has the same bits whatever the order and the number of machines.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.contract import Contract
from expectations.transactions import TRANSACTIONS
from jobs.features import histories, lifetimes
from jobs.features.histories import Array, Histories
from jobs.features.ledger import DAY, Ledger, Work, plan
from jobs.features.lifetimes import WINDOW_DAYS, Base, Formulas, Lifetimes, Values, slices
from jobs.platform.data_files import DataFile
from jobs.platform.errors import JobError
from jobs.platform.exchange import Exchange
from jobs.platform.job import Job
from jobs.platform.lookup import Lookup
from jobs.platform.schemas import arrow_type
from jobs.platform.settings import WEEK
from jobs.platform.spark import in_parallel
from jobs.platform.staging import Staged

#: A bucket of so many lines takes some 300 MB while it is computed.
LINES_PER_BUCKET = 2_000_000


def require_fresh(job: Job) -> None:
    """Raise JobError if the week before the as-of date has no transactions: no shop is that quiet."""
    as_of = job.settings.as_of_date
    for file in job.data_files(TRANSACTIONS):
        if file.is_since(DAY, as_of - WEEK) and file.is_before(DAY, as_of):
            days = file.read([DAY])[DAY]
            if pc.any(pc.and_(pc.greater_equal(days, as_of - WEEK), pc.less(days, as_of))).as_py():
                return
    raise JobError(
        f"{TRANSACTIONS.path}: no transactions from {as_of - WEEK} until the as-of date {as_of}:"
        f" is a file late, or {job.settings.data} not the right directory?"
    )


def publish_snapshots(job: Job, formulas: Formulas, entities: Contract, dates: Sequence[date]) -> str:
    """Bring the table's slices of these dates up to date; returns the job's summary.

    Args:
        job: the running job.
        formulas: the table's.
        entities: the table that knows the entities' surrogate keys.
        dates: as-of dates.
    """
    contract = formulas.contract
    require_fresh(job)
    files = job.data_files(TRANSACTIONS)
    present = {date.fromisoformat(part["as_of_date"]) for part in job.partitions(contract)}
    work = plan(Ledger.of(job.facts(contract), code_of(formulas)), files, dates, present)
    if not work.dates:
        return f"{len(dates)} as-of dates up to {max(dates)} are there and know every file; nothing to do"
    with job.staging(contract) as staged:
        paths = _computed(job, formulas, work, files, job.lookup(entities), staged)
        count = job.publish_staged(staged, paths, {"as_of_date": work.dates}, facts=work.ledger.facts())
    carried = f", carried on from {work.base}" if work.base else ""
    return f"{count:,} rows for {len(work.dates)} as-of dates up to {work.dates[-1]}{carried}"


def code_of(formulas: Formulas) -> str:
    """Changes with the code that computes the table: what another version computed is not carried on."""
    texts = [inspect.getsource(part) for part in (histories, lifetimes, formulas.lifetime, formulas.as_of, table)]
    return hashlib.sha256("".join([*texts, formulas.contract.ddl]).encode()).hexdigest()


class Lines(NamedTuple):
    """Transaction lines, as parallel arrays (see Histories)."""

    entity: Array
    day: Array
    price: Array
    other: Array
    channel: Array
    is_late: Array


def _computed(
    job: Job, formulas: Formulas, work: Work, files: list[DataFile], lookup: Lookup, staged: Staged
) -> list[str]:
    """Compute the dates' slices in the cluster; returns the paths of the files that hold them."""
    files = [file for file in files if file.is_before(DAY, work.dates[-1])]
    changed = _changed(job, formulas, work, files) if work.base else None
    exchange = staged.exchange(math.ceil(sum(file.rows for file in files) / LINES_PER_BUCKET))
    lines = in_parallel(job.context, partial(_cut, formulas, work, changed, exchange), files)
    base = job.data_files(formulas.contract, {"as_of_date": [work.base]}) if work.base else []
    earlier = in_parallel(job.context, partial(_cut_base, formulas, lookup, exchange), base)
    write = partial(_write, formulas, work, lookup, staged, exchange, lines, earlier)
    paths = in_parallel(job.context, write, range(exchange.buckets))
    exchange.clear()
    return [path for some in paths for path in some]


def _changed(job: Job, formulas: Formulas, work: Work, files: list[DataFile]) -> Array:
    """Marks, by surrogate key, the entities with a line that the base does not know."""
    assert work.base, "without a base everything is new"
    new = [file for file in files if file.name not in work.known or file.is_since(DAY, work.base)]
    found = np.unique(
        np.concatenate([np.empty(0, int), *in_parallel(job.context, partial(_unknown, formulas, work), new)])
    )
    changed = np.zeros(int(found.max(initial=-1)) + 1, dtype=bool)
    changed[found] = True
    return changed


def _unknown(formulas: Formulas, work: Work, file: DataFile) -> Array:
    """Keys of the entities with a line in the file that the base does not know."""
    lines = _read(formulas, work, file)
    return np.unique(lines.entity[lines.is_late | (lines.day >= _number(work.base))])


def _read(formulas: Formulas, work: Work, file: DataFile) -> Lines:
    """The file's lines before the last date."""
    table = file.read([formulas.key, DAY, "price", formulas.other, "sales_channel_id"])
    columns = [column.cast(pa.int32()) if column.type == pa.date32() else column for column in table.columns]
    is_late = np.full(table.num_rows, file.name not in work.known)
    lines = Lines._make([*(column.to_numpy() for column in columns), is_late])
    return _where(lines, lines.day < _number(work.dates[-1]))


def _where(lines: Lines, mask: Array) -> Lines:
    return lines if mask.all() else Lines(*(array[mask] for array in lines))


def _cut(formulas: Formulas, work: Work, changed: Array | None, exchange: Exchange, file: DataFile) -> str:
    """Leave the file's lines that matter: all those of changed entities, and the window's of everybody."""
    lines = _read(formulas, work, file)
    columns, matters = lines._asdict(), None
    if changed is None:  # then nothing is known that a late line could have been missing from
        del columns["is_late"]
    else:
        is_changed = np.zeros(max(int(lines.entity.max(initial=0)) + 1, len(changed)), dtype=bool)
        is_changed[: len(changed)] = changed
        matters = is_changed[lines.entity] | (lines.day >= _number(work.dates[0]) - WINDOW_DAYS)
    return exchange.put(lines.entity, columns, matters)


def _cut_base(formulas: Formulas, lookup: Lookup, exchange: Exchange, file: DataFile) -> str:
    """Leave the lifetimes in a file of the base's slice."""
    names = formulas.lifetime_columns
    table = file.read([lookup.id_column, *names])
    keys = lookup.keys(table[0].combine_chunks()).to_numpy(zero_copy_only=False)
    days = [column.cast(pa.int32()) if column.type == pa.date32() else column for column in table.columns[1:]]
    return exchange.put(keys, {"entity": keys} | {n: day.to_numpy() for n, day in zip(names, days, strict=True)})


def _write(
    formulas: Formulas,
    work: Work,
    lookup: Lookup,
    staged: Staged,
    exchange: Exchange,
    lines: Sequence[str],
    earlier: Sequence[str],
    bucket: int,
) -> list[str]:
    """Compute a bucket's rows of every date and write them; returns the files' paths."""
    history = Histories.of(**exchange.take(lines, bucket))
    base = Base(_sorted(**exchange.take(earlier, bucket)), _number(work.base)) if earlier else None
    paths = []
    for day, entities, values in slices(history, [_number(day) for day in work.dates], formulas, base):
        rows = table(formulas, lookup.ids(entities), values)
        paths.append(staged.write(rows, as_of_date=str(np.datetime64(day, "D"))))
    return paths


def _sorted(entity: Array, **values: Array) -> Lifetimes:
    order = np.argsort(entity)
    return Lifetimes(entity[order], {name: column[order] for name, column in values.items()})


def table(formulas: Formulas, ids: pa.Array, values: Values) -> pa.Table:
    """The rows of one date in the columns of the contract, but for the date; NaN becomes null."""
    columns = {}
    for column in formulas.contract.columns:
        if column.name == "as_of_date":
            continue
        if column.name in values:
            array = values[column.name]
            array = array.astype(np.int32).astype("datetime64[D]") if column.type == "date" else array
            is_missing = np.isnan(array) if array.dtype.kind == "f" else None
            columns[column.name] = pa.array(array, arrow_type(column), mask=is_missing)
        else:
            columns[column.name] = ids
    return pa.table(columns)


def _number(day: date | None) -> int:
    """Days since 1970-01-01."""
    return int(np.datetime64(day, "D").astype(int))
