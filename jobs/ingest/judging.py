"""Every block read once, and those with something unusual a second time, when it is known what is usual."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql import Row
from pyspark.sql import functions as F

from expectations.transactions import TRANSACTIONS
from jobs.ingest.mapping import TransactionsMapping
from jobs.ingest.plausibility import BINS_PER_DOUBLING, HISTORY_DAYS, Counts, Days, Usual, bulk, usual_of_files
from jobs.ingest.reading import Block
from jobs.platform.job import Job

#: Reads blocks and tells of each, or of each piece, what block_kernel.DONE says.
Read = Callable[[Sequence[Block], dict[str, Usual]], list[Row]]


def read_and_judged(
    job: Job, work: Sequence[Block], read: Read, mapping: TransactionsMapping, replaced: Collection[str]
) -> list[Row]:
    """What `read` tells of each block of `work`, without purchases that are not usual.

    Args:
        job: reads silver/transactions, which may not be there yet.
        replaced: names of the files whose rows there do not count.
    """
    done = read(work, {})
    counts = [Counts.of_lists(block.day, block.bin, block.units) for block in done]
    files: dict[str, Counts] = {}
    for name in {block.source_file for block in done}:
        of_file = [c for block, c in zip(done, counts, strict=True) if block.source_file == name]
        if (joined := Counts.joined(of_file)).units.sum():
            files[name] = joined
    if not files:
        return done
    bulks = [bulk(of_file, mapping.max_silent_days) for of_file in files.values()]
    usual = usual_of_files(files, *_known(job, bulks[0].hull(bulks), replaced), mapping)
    doubtful = sorted(
        {
            piece.block
            for piece, some in zip(done, counts, strict=True)
            if len(some.day) and usual[piece.source_file].has_doubts(some, mapping)
        }
    )
    if doubtful:
        kept = [piece for piece in done if piece.block not in doubtful]
        done = kept + read([work[n] for n in doubtful], usual)
    return done


def _known(job: Job, days: Days, replaced: Collection[str]) -> tuple[Counts, list[Days]]:
    """Purchases of other files before and on these days, and of which days such files tell."""
    nothing = Counts.joined([])
    if TRANSACTIONS.name not in job.warehouse.versions_read:  # it was not there when the run began
        return nothing, []
    files = pa.table(job.table(TRANSACTIONS).get_add_actions(flatten=True)).to_pylist()
    kept = [file for file in files if file["partition.source_file"] not in replaced and file["min.t_dat"]]
    if not kept:
        return nothing, []
    known = [Days(min(file["min.t_dat"] for file in kept), max(file["max.t_dat"] for file in kept))]
    first = days.first - timedelta(days=HISTORY_DAYS)
    rows = job.read_spark(TRANSACTIONS).where(F.col("t_dat").between(first, days.last))
    if replaced:
        rows = rows.where(~F.col("source_file").isin(*replaced))
    price_bin = F.floor(F.log2("price") * BINS_PER_DOUBLING).cast("bigint").alias("bin")
    day = F.unix_date("t_dat").cast("bigint").alias("day")
    found = rows.where("price > 0").groupBy(day, price_bin).agg(F.count("*").alias("units")).toArrow()
    return Counts(*(found[name].to_numpy().astype(np.int64) for name in ("day", "bin", "units"))), known
