"""A published table as its Delta log names it at one version: files, columns and newest slice; no row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from app.tables.errors import Unavailable
from expectations.contract import Contract
from jobs.platform import storage
from jobs.platform.data_files import DataFile, data_files
from jobs.platform.errors import JobError

#: Table -> what to run where it is missing; of others the weekly DAG.
_COMMANDS = {
    "similar_articles": "make catalogue",
    "system_recommendations": "make model-systems",
    "realised_performance": "make demo for one week later",
}


@dataclass(frozen=True)
class Snapshot:
    """One version of a table; a file never changes, so that what is read of it is of one publish.

    Attributes:
        version: of the Delta log.
        files: of the newest slice; of a table without as-of dates all.
        columns: that the log names, partition columns among them.
        as_of_date: the newest published; None where the table has none.
    """

    contract: Contract
    version: int
    files: tuple[DataFile, ...]
    columns: frozenset[str]
    as_of_date: date | None

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def partition_values(self, column: str) -> list[str]:
        """Values of a partition column, in order."""
        return sorted({str(file.partition[column]) for file in self.files})


def load(root: str, contract: Contract) -> Snapshot:
    """The newest published slice of a table below `root`.

    A publish that is under way is not in the log, and so not in the snapshot. Raises Unavailable.
    """
    uri = f"{root}/{contract.path}"
    try:
        table = DeltaTable(uri, storage_options=storage.storage_options(root))
        configuration = table.metadata().configuration
        if configuration.get("delta.columnMapping.mode", "none") != "none":
            raise Unavailable(f"{contract.path} renames its columns, which this shop does not read.")
        columns = frozenset(field.name for field in table.schema().fields)
        found = data_files(table)
    except TableNotFoundError:
        raise Unavailable(f"{contract.path} is not there yet. Run {command(contract)}.") from None
    except (DeltaError, JobError, OSError, pa.ArrowInvalid) as error:
        raise Unavailable(f"{contract.path} cannot be read: {str(error).splitlines()[0][:200]}") from error
    if missing := sorted({*contract.key, *contract.partition_by} - columns):
        raise Unavailable(f"{contract.path} was made by another version of Atelier: it has no {', '.join(missing)}.")
    as_of_date = None
    if "as_of_date" in contract.partition_by and found:
        as_of_date = max(file.partition["as_of_date"] for file in found)
        found = [file for file in found if file.partition["as_of_date"] == as_of_date]
    return Snapshot(contract, table.version(), tuple(found), columns, as_of_date)


def command(contract: Contract) -> str:
    """What a person runs to have the table."""
    return _COMMANDS.get(contract.name, "make demo")
