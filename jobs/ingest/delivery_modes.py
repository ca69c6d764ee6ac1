"""Which of the files just read are published, so that no purchase counts twice.

Incremental files are published all, unless two deliver the same purchases. Of cumulative ones the newest is, in place
of all others, whose purchases it must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from functools import partial

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from expectations.transactions import TRANSACTIONS
from jobs.ingest.deliveries import Plan
from jobs.ingest.mapping import TransactionsMapping
from jobs.ingest.overlap import LINE, Span, a_day_apart, meeting, newest, overlaps, refuse_doubled, refuse_incomplete
from jobs.ingest.plausibility import Counts
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.staging import Staged

#: So far back from its end the purchases of an older cumulative file are looked for in the newest one.
_COMPARED = timedelta(days=28)

#: The purchases of files of these names: source_file and LINE.
_Purchases = Callable[[Collection[str]], DataFrame]


def counted_once(
    job: Job, mapping: TransactionsMapping, steps: Plan, taken: Mapping[str, str], files: Staged, done: Sequence[Row]
) -> tuple[Plan, str]:
    """The plan so that no purchase counts twice, and in words what was let pass.

    Args:
        job: the running job.
        mapping: of the transactions.
        steps: the plan.
        taken: name -> checksum of the files whose rows are in the table.
        files: where the rows of the plan's files are.
        done: what was written there of each block (block_kernel.DONE).

    Raises:
        JobError: purchases would count twice, or cumulative files would lose some.
    """
    blocks: dict[str, list[Row]] = {}
    for block in done:
        if block.good:
            blocks.setdefault(block.source_file, []).append(block)
    spans = _spans(job, taken.keys() - set(steps.replace))
    for name, of_file in blocks.items():
        counts = Counts.joined(Counts.of_lists(block.day, block.bin, block.units) for block in of_file)
        spans[name] = Span(counts.days.first, counts.days.last, int(counts.units.sum()))
    purchases = partial(_purchases, job, files, blocks)
    if mapping.deliveries == "cumulative":
        return _newest_alone(steps, taken, spans, purchases, mapping.max_overlap), ""
    new = {file.name for file in steps.take if file.checksum not in taken.values()}
    together = meeting(new, spans)
    if not together:
        return steps, ""
    rows, new = purchases(together), new & together
    remark = refuse_doubled(overlaps(rows, new), spans, mapping.max_overlap)
    refuse_doubled(a_day_apart(rows, together, new), spans, mapping.max_overlap)
    return steps, remark


def _spans(job: Job, names: Collection[str]) -> dict[str, Span]:
    """Of these files of the table, from its statistics alone; without statistics, of all days."""
    found: dict[str, Span] = {}
    for file in job.data_files(TRANSACTIONS):
        if (name := file.partition["source_file"]) in names:
            low, high = file.low.get("t_dat") or date.min, file.high.get("t_dat") or date.max
            known = found.get(name, Span(low, high, 0))
            found[name] = Span(min(low, known.first), max(high, known.last), known.rows + file.rows)
    return found


def _purchases(job: Job, files: Staged, blocks: Mapping[str, Sequence[Row]], names: Collection[str]) -> DataFrame:
    """Those of files just read, and of others from the table."""
    paths = [block.good for name in names for block in blocks.get(name, ())]
    known = sorted(name for name in names if name not in blocks)
    rows = files.read_spark(job.spark, paths).select("source_file", *LINE) if paths else None
    if known:
        stored = job.read_spark(TRANSACTIONS).where(F.col("source_file").isin(known)).select("source_file", *LINE)
        rows = stored if rows is None else rows.union(stored)
    assert rows is not None, "names without rows"
    return rows


def _newest_alone(
    steps: Plan, taken: Mapping[str, str], spans: Mapping[str, Span], purchases: _Purchases, limit: float
) -> Plan:
    """The plan with the newest file in place of all others."""
    if not spans:
        return steps
    last = newest(spans)
    older = spans.keys() - {last}
    if older:
        since = {name: spans[name].last - _COMPARED for name in older}
        is_compared = (F.col("source_file") == last) & (F.col("t_dat") > min(since.values()))
        for name, day in since.items():
            is_compared |= (F.col("source_file") == name) & (F.col("t_dat") > day)
        refuse_incomplete(purchases(spans.keys()).where(is_compared), spans, limit)
    copies = dict.fromkeys((older | steps.copies.keys()), last)
    if take := [file for file in steps.take if file.name == last]:
        return Plan(take, sorted({*taken, last}), copies)
    if others := sorted(taken.keys() - {last}):
        raise JobError(
            f"{last}: holds all that {', '.join(others)} does and is no longer delivered; deliver it again, to replace"
            " that"
        )
    return Plan([], [], copies)
