"""How many processes that read a Delta table abort at their end: through Atelier's reader, and deltalake's by default.

Aborts are rare and depend on the machine's load, so many processes run one after the other.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

ROWS, WEEKS = 400_000, 12

#: What a process does, of the table's root as its first argument.
READERS = {
    "jobs.platform.data_files.dataset": "dataset(DeltaTable(sys.argv[1])).to_table()",
    "deltalake's to_pyarrow_table": "DeltaTable(sys.argv[1]).to_pyarrow_table()",
}
_IMPORTS = "import sys; from deltalake import DeltaTable; from jobs.platform.data_files import dataset"


def run(processes: int, uri: Path | None) -> None:
    """Count exit codes of so many processes a reader, and print them.

    Args:
        uri: a table's root; None: a table of several partitions is made.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = uri or _written(Path(scratch, "table"))
        for reader, statement in READERS.items():
            failed = sum(_exit_code(statement, root) != 0 for _ in range(processes))
            print(f"{reader}: {failed} of {processes} processes did not end with exit code 0", flush=True)


def _written(root: Path) -> Path:
    day = np.arange(ROWS) % WEEKS
    columns = {
        "week": pa.array([date(2020, 1, 1) + timedelta(weeks=int(n)) for n in day]),
        "customer": np.arange(ROWS) // 7,
        "article": pa.array([f"article {n}" for n in range(ROWS)]),
        "price": np.random.default_rng(0).random(ROWS),
    }
    write_deltalake(str(root), pa.table(columns), partition_by=["week"])
    return root


def _exit_code(statement: str, root: Path) -> int:
    command = [sys.executable, "-c", f"{_IMPORTS}; {statement}", str(root)]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode
