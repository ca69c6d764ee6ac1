# ruff: noqa: S608 - columns are those of the contracts, files a parameter
"""A published table as its Delta log names it at one version: files, columns and newest slice; no row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from expectations.contract import Contract
from jobs.platform import storage
from jobs.platform.data_files import DataFile, data_files
from jobs.platform.errors import JobError

#: Table -> what to run where it is missing; of others the weekly DAG.
_COMMANDS = {
    "similar_articles": "`make catalogue`, or the DAG catalogue_intelligence",
    "system_recommendations": "`make model-systems`",
    "realised_performance": "the weekly DAG for a later week (`make demo AS_OF=...`)",
}


class Unavailable(Exception):
    """A table is missing, damaged, or of a schema that this shop does not know; the message is for a person."""


@dataclass(frozen=True)
class Snapshot:
    """One version of a table; a file never changes, so that what is read of it is of one publish.

    Attributes:
        version: of the Delta log.
        files: of the newest slice; of a table without as-of dates all.
        columns: that the log names, partition columns among them.
        stored: those of them that are in the files; one that the table has gained since then is null.
        as_of_date: the newest published; None where the table has none.
    """

    contract: Contract
    version: int
    files: tuple[DataFile, ...]
    columns: frozenset[str]
    stored: frozenset[str]
    as_of_date: date | None

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def partition_values(self, column: str) -> list[str]:
        """Values of a partition column, in order."""
        return sorted({str(file.partition[column]) for file in self.files})

    def relation(self, name: str, columns: tuple[str, ...], partition: dict[str, str]) -> tuple[str, list[str]]:
        """SQL that reads the columns of the files in parameter `name`, and those files: with these partition values.

        Raises Unavailable where the table has no such columns.
        """
        if missing := sorted({*columns, *partition} - self.columns):
            raise Unavailable(
                f"{self.contract.path} was made by another version of Atelier: it has no {', '.join(missing)}."
            )
        files = [f.uri for f in self.files if all(str(f.partition[key]) == v for key, v in partition.items())]
        chosen = ", ".join(c if c in self.stored else f"NULL AS {c}" for c in columns)
        if not files:
            return f"(SELECT {', '.join(f'NULL AS {c}' for c in columns)} LIMIT 0)", []
        merge = ", union_by_name = true" if len(files) > 1 else ""
        return f"(SELECT {chosen} FROM read_parquet(${name}{merge}))", files


def load(root: str, contract: Contract) -> Snapshot:
    """The newest published slice of a table below `root`.

    A publish that is under way is not in the log, and so not in the snapshot. Raises Unavailable.
    """
    try:
        table = DeltaTable(f"{root}/{contract.path}", storage_options=storage.storage_options(root))
        if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
            raise Unavailable(f"{contract.path} is in a form that this shop does not read: it renames its columns.")
        found = data_files(table)
        as_of_date: Any = None
        if "as_of_date" in table.metadata().partition_columns and found:
            as_of_date = max(file.partition["as_of_date"] for file in found)
            found = [file for file in found if file.partition["as_of_date"] == as_of_date]
        columns = frozenset(field.name for field in table.schema().fields)
        return Snapshot(contract, table.version(), tuple(found), columns, _stored(found), as_of_date)
    except TableNotFoundError:
        run = _COMMANDS.get(contract.name, "`make demo`")
        raise Unavailable(f"{contract.path} is not there yet: run {run}.") from None
    except (DeltaError, JobError, OSError, pa.ArrowException) as error:
        raise Unavailable(f"{contract.path} cannot be read: {str(error).splitlines()[0][:200]}") from error


def _stored(files: list[DataFile]) -> frozenset[str]:
    names: set[str] = set()
    for file in files:
        filesystem, path = storage.filesystem(file.uri)
        with filesystem.open_input_file(path) as content:
            names |= set(pq.read_schema(content).names)
    return frozenset(names)
