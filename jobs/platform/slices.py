"""What the slices of a table were computed from, as recorded in ops/feature_slices.

A record holds while nobody else changes the table: a commit that is neither maintenance nor recorded here (a restored
version, a run killed before it recorded what it had published) makes all slices of the table unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from expectations.contract import Contract
from expectations.operations import FEATURE_SLICES
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema

#: Slice -> checksum of each source -> version of that source.
Sources = Mapping[str, Mapping[str, int]]


def recorded(job: Job, contract: Contract, formula_version: int) -> dict[str, dict[str, int]]:
    """The sources of each slice that is as a run with these formulas left it, in the version that this run reads.

    Raises TableChangedError where the records are of a later version.
    """
    if job.exists(contract):
        job.version(contract)  # before its records, which another run may bring up to date meanwhile
    rows = _rows(job, contract)
    if not rows or job.warehouse.changes_as_read(contract, max(row["table_version"] for row in rows)) != set():
        return {}
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["formula_version"] == formula_version:
            found.setdefault(row["slice"], {})[row["source_checksum"]] = row["source_version"]
    return found


def record(job: Job, contract: Contract, formula_version: int, sources: Sources) -> None:
    """Note what the slices were computed from that this run has just published.

    Of a slice that another run has published since, and noted, that stands.
    """
    job.transact(lambda: _note(job, contract, formula_version, sources), [FEATURE_SLICES])


def _note(job: Job, contract: Contract, formula_version: int, sources: Sources) -> None:
    version = job.warehouse.versions_written[contract.name]
    earlier = _rows(job, contract)
    newest = job.warehouse.newest(contract).version()  # a table made anew begins below what was noted of the old
    later = {row["slice"] for row in earlier if version < row["table_version"] <= newest}
    sources = {name: known for name, known in sources.items() if name not in later}
    if not sources:
        return
    changes = job.warehouse.changes_since(contract, max((row["table_version"] for row in earlier), default=0))
    rows = [
        {
            "table_name": contract.name,
            "slice": name,
            "source_checksum": checksum,
            "source_version": source_version,
            "formula_version": formula_version,
            "table_version": version,
            "run_id": job.settings.run_id,
        }
        for name, known in sources.items()
        for checksum, source_version in known.items()
    ]
    replace: dict[str, list[str]] = {"table_name": [contract.name]}
    if changes is not None and changes <= {version}:  # else what was recorded before holds no longer
        replace["slice"] = list(sources)
    table = pa.Table.from_pylist(rows, arrow_schema(FEATURE_SLICES))
    job.publish(FEATURE_SLICES, table, replace, derived_from=[FEATURE_SLICES])


def _rows(job: Job, contract: Contract) -> list[dict[str, Any]]:
    if not job.exists(FEATURE_SLICES):
        return []
    return job.read_arrow(FEATURE_SLICES, where={"table_name": [contract.name]}).to_pylist()
