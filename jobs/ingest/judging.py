"""Every block read once, and those with something unusual a second time, when it is known what is usual."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from functools import partial

from pyspark.sql import Row

from expectations.transactions import TRANSACTIONS
from jobs.ingest.mapping import TransactionsMapping
from jobs.ingest.plausibility import COUNTS, HISTORY_DAYS, Counts, Days, Usual, bulk, count_purchases, usual_of_files
from jobs.ingest.reading import Block
from jobs.platform.job import Job
from jobs.platform.tasks import collected

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
    if TRANSACTIONS.name not in job.warehouse.versions_read:  # it was not there when the run began
        return Counts.joined([]), []
    files = [file for file in job.data_files(TRANSACTIONS) if file.partition["source_file"] not in replaced]
    known = [Days(file.low["t_dat"], file.high["t_dat"]) for file in files if file.low.get("t_dat")]
    first, last = days.first - timedelta(days=HISTORY_DAYS), days.last
    near = [file for file in files if file.is_since("t_dat", first) and (file.low.get("t_dat") or first) <= last]
    if not near:
        return Counts.joined([]), known
    found = collected(job.spark, partial(count_purchases, near, first, last), len(near), COUNTS)
    return Counts.joined(Counts.of_lists(*row) for row in found), known
