"""The as-of date of the newest whole week that has been taken in: `python -m jobs.ingest.latest_week WAREHOUSE`.

Prints it (YYYY-MM-DD), or nothing where there are no transactions. It is what a run that is triggered without a date
gets where the data are of the past.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from expectations.transactions import TRANSACTIONS
from jobs.platform.settings import WEDNESDAY
from jobs.platform.warehouse import Warehouse


def latest_week(warehouse: Warehouse) -> date | None:
    """The newest Wednesday before which all seven days can have been delivered; from the files' statistics alone."""
    if not warehouse.exists(TRANSACTIONS):
        return None
    files = pa.table(warehouse.newest(TRANSACTIONS).get_add_actions(flatten=True))
    if not files.num_rows:
        return None
    after = pc.max(files["max.t_dat"]).as_py() + timedelta(days=1)
    return after - timedelta(days=(after.weekday() - WEDNESDAY) % 7)


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m jobs.ingest.latest_week WAREHOUSE", file=sys.stderr)
        return 2
    if found := latest_week(Warehouse(arguments[0], {})):
        print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
