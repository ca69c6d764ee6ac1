"""Housekeeping of all tables: small files made one, rows ordered for lookups, unreachable files and old log removed.

Of Data Docs the newest runs are kept. No row changes. A table that other runs keep publishing to is left for the next
time, and a rerun finds nothing to do.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from expectations.features import CUSTOMER_FEATURES
from expectations.recommendations import CANDIDATES, RECOMMENDATIONS
from expectations.registry import CONTRACTS
from jobs.platform.data_docs import remove_old_runs
from jobs.platform.job import Job, run
from jobs.platform.table_maintenance import optimize_and_vacuum

READS, WRITES = (), tuple(CONTRACTS.values())
SETTINGS = ("retention_days",)

#: Columns by whose values a table's rows lie together within a partition: what analysts look single ones up by
#: (`make bench-upkeep`). The other tables stay in the order they were published in: transactions by day.
CLUSTER_BY = {table.name: ("customer_id",) for table in (RECOMMENDATIONS, CANDIDATES, CUSTOMER_FEATURES)}


def main(job: Job) -> str:
    retention = timedelta(days=job.settings.retention_days)
    tables = [table for table in WRITES if job.exists(table)]
    done = []
    for table in tables:
        result = optimize_and_vacuum(job.warehouse.uri(table), retention, CLUSTER_BY.get(table.name, ()))
        if result.rewritten or result.removed:
            counts = f"{result.rewritten:,} files made {result.written:,}, {result.removed:,} removed"
            logging.info("%s: %s", table.path, counts)
        done.append(result)
    rewritten, written, removed, skipped = (
        sum(getattr(result, name) for result in done) for name in ("rewritten", "written", "removed", "skipped")
    )
    runs = remove_old_runs(job.warehouse.root)
    pages = f"; Data Docs of {runs:,} old runs removed" if runs else ""
    busy = f"; {skipped:,} partitions left, other runs were publishing to them" if skipped else ""
    return (
        f"{len(tables):,} tables: {rewritten:,} files made {written:,}, {removed:,} that nobody can reach removed;"
        f" replaced versions are kept {retention.days:,} days{pages}{busy}"
    )


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
