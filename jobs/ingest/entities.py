"""What the catalogue and the customer list share: one file, one row per id, replaced whole when the file changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from expectations.contract import Contract, key_of
from expectations.transactions import QUARANTINE
from jobs.ingest.deliveries import every_record, next_key, record, recorded, reserve_keys
from jobs.ingest.files import SourceFile, require_unchanged, source_files
from jobs.ingest.keys import keys_for
from jobs.ingest.mapping import Mapping, TableMapping
from jobs.ingest.quarantine import audit, bad_rows, findings
from jobs.ingest.typed import Mask, TypedRows, mask
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema


def single_file(data: str, table: TableMapping) -> SourceFile:
    """The table's one file; raises JobError when there is none or several."""
    files = source_files(data, table)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise JobError(f"{data}/{table.file}: one file expected, found {names}; leave one, or name it in the mapping")
    return files[0]


def digest(mapping: Mapping, files: Sequence[SourceFile]) -> str:
    """Changes when the mapping or a file's content does."""
    parts = [mapping.digest, *sorted(file.checksum for file in files)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def refuse_clashes(rows: TypedRows, contract: Contract) -> Mask:
    """Refuse a row whose id is on an earlier line with other values; marks the identical repetitions, to be dropped.

    Args:
        rows: rows of one file.
        contract: a table with a key of one column.
    """
    (key,) = contract.key
    usable = rows.good()
    usable = usable[np.argsort(rows.raw.line[usable])]
    ids = _plain(rows.columns[key].take(usable))
    is_repeated, is_clash = np.zeros((2, len(rows.raw)), dtype=bool)
    if pd.Index(pl.Series(ids).hash().to_numpy()).is_unique:
        return is_repeated
    codes = ids.dictionary_encode().indices.to_numpy()
    again = pd.Series(codes).duplicated().to_numpy()
    later, later_codes = usable[again], codes[again]
    firsts, first_codes = usable[~again], codes[~again]
    order = np.argsort(first_codes)
    first = firsts[order][np.searchsorted(first_codes[order], later_codes)]
    is_same = np.ones(len(later), dtype=bool)
    for values in rows.columns.values():
        is_same &= mask(_same(_plain(values.take(later)), _plain(values.take(first))))
    is_repeated[later[is_same]], is_clash[later[~is_same]] = True, True
    rows.verdicts.refuse(is_clash, f"{key} already on an earlier line, with other values")
    return is_repeated


def _plain(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _same(values: pa.Array, others: pa.Array) -> pa.Array:
    """Equal, or both null."""
    return pc.or_kleene(pc.equal(values, others), pc.and_(values.is_null(), others.is_null())).fill_null(False)


def publish_entities(
    job: Job,
    contract: Contract,
    rows: TypedRows,
    files: Sequence[SourceFile],
    source: str,
    unlisted: pa.Array | None = None,
) -> str:
    """Quarantine and publish rows as the whole table; returns the job's summary.

    Raises TableChangedError where another run publishes to it meanwhile: the keys would be of a table that is gone.

    Args:
        job: the running job.
        contract: the table.
        rows: typed rows of the first file.
        files: every file they were made from.
        source: digest of the files and the mapping.
        unlisted: ids of which nothing else is known, to be added where the file does not have them.
    """
    (entity_id,) = contract.key
    is_repeated = refuse_clashes(rows, contract)
    bad = bad_rows(rows, contract, files[0])
    audit([findings(files[0], len(rows.raw) - int(is_repeated.sum()), bad)], job.settings.max_quarantine_share)
    good = rows.good()
    table = pa.table({name: _plain(values) for name, values in rows.columns.items()}).take(good[~is_repeated[good]])
    if unlisted is not None:
        further = unlisted.filter(pc.invert(pc.is_in(unlisted, value_set=table[entity_id].combine_chunks())))
        table = pa.concat_tables([table, _known_by_id_alone(contract, further).select(table.column_names)])
    columns = [entity_id, key_of(entity_id)]
    nobody = pa.table([pa.array([], pa.string()), pa.array([], pa.int32())], columns)
    known = job.read_arrow(contract, columns=columns) if job.exists(contract) else nobody
    keys, free = keys_for(table[entity_id].combine_chunks(), known, next_key(every_record(job, contract)))
    table = table.append_column(key_of(entity_id), pa.array(keys)).select(contract.column_names)
    require_unchanged(files)
    reserve_keys(job, contract, files[0], free)
    job.publish(QUARANTINE, bad, {"table_name": [contract.name]})
    count = job.publish(contract, table, {}, derived_from=[contract])
    taken = {
        "source_file": files[0].name,
        "source_checksum": files[0].checksum,
        "mapping_digest": source,
        "table_version": job.warehouse.versions_written[contract.name],
        "next_key": free,
    }
    record(job, contract, [taken], gone=None)
    return f"{count:,} rows from {', '.join(file.name for file in files)}; {bad.num_rows:,} rows in quarantine"


def is_ingested(job: Job, contract: Contract, source: str) -> bool:
    """True if the table is as an earlier run made it from the same files with the same mapping."""
    return any(row["mapping_digest"] == source for row in recorded(job, contract).values())


def _known_by_id_alone(contract: Contract, ids: pa.Array) -> pa.Table:
    fields = {field.name: pa.nulls(len(ids), field.type) for field in arrow_schema(contract)}
    nothing = {
        name: values.fill_null(False) if pa.types.is_boolean(values.type) else values for name, values in fields.items()
    }
    return pa.table(nothing | {contract.key[0]: ids})
