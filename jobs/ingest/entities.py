"""What the catalogue and the customer list share: one file, one row per id, replaced whole when the file changes.

What the newest list has no more stays, with the date from which it is gone: its purchases and its key are still known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from expectations.contract import Contract, gone_on_of, key_of
from expectations.events import ARTICLE_ATTRIBUTES
from expectations.transactions import QUARANTINE
from jobs.ingest.deliveries import every_record, next_key, overtaken_by, record, recorded, reserve_keys
from jobs.ingest.files import SourceFile, require_unchanged, source_files
from jobs.ingest.keys import keys_for
from jobs.ingest.mapping import Mapping as RetailerMapping
from jobs.ingest.mapping import TableMapping
from jobs.ingest.quarantine import audit, bad_rows, findings
from jobs.ingest.renamed import newest_ids, refuse_unknown
from jobs.ingest.typed import Mask, TypedRows, mask
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema

#: The flag beside each date of `gone_on_of`.
_FLAGS = {"delisted_date": "is_delisted", "left_date": "has_left"}


def single_file(data: str, table: TableMapping) -> SourceFile:
    """The table's one file; raises JobError when there is none or several."""
    files = source_files(data, table)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise JobError(f"{data}/{table.file}: one file expected, found {names}; leave one, or name it in the mapping")
    return files[0]


def digest(mapping: RetailerMapping, files: Sequence[SourceFile]) -> str:
    """Changes when the mapping or a file's content does."""
    parts = [mapping.digest, *sorted(file.checksum for file in files)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def refuse_overtaken(job: Job, contract: Contract, file: SourceFile, since: int) -> None:
    """Raise JobError where another run took in another list since this one began, unless that run's date is earlier.

    Args:
        job: the running job, whose list is not the one that the table was made from.
        contract: the table.
        file: the list.
        since: the table's version when this run began.
    """
    if day := overtaken_by(job, contract, since):
        raise JobError(
            f"{file.path}: while this run of {job.settings.as_of_date} read it, one of {day} took another list into"
            f" {contract.path}, which stays, since this one may be older; nothing published: run it again if it is not"
        )


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
    renamed: Mapping[str, str] | None = None,
    attributes: pa.Table | None = None,
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
        renamed: id -> the newer one that it goes by: it is no longer listed, even where the file has it.
        attributes: rows of article_attributes that the file has besides.
    """
    (entity_id,) = contract.key
    is_repeated = refuse_clashes(rows, contract)
    bad = bad_rows(rows, contract, files[0])
    audit([findings(files[0], len(rows.raw) - int(is_repeated.sum()), bad)], job.settings.max_quarantine_share)
    good = rows.good()
    table = pa.table({name: _plain(values) for name, values in rows.columns.items()}).take(good[~is_repeated[good]])
    if names := newest_ids(renamed or {}):
        table = table.filter(pc.invert(pc.is_in(table[entity_id], value_set=pa.array(names, pa.string()))))
    table = with_gone(table, contract, pa.nulls(table.num_rows, pa.date32()))
    if unlisted is not None:
        further = unlisted.filter(pc.invert(pc.is_in(unlisted, value_set=table[entity_id].combine_chunks())))
        table = pa.concat_tables([table, _known_by_id_alone(contract, further).select(table.column_names)])
    listed = table.num_rows
    known = job.read_arrow(contract) if job.exists(contract) else arrow_schema(contract).empty_table()
    noted = every_record(job, contract)
    seen_on = max([job.settings.as_of_date, *(row["as_of_date"] for row in noted if row["as_of_date"])])
    table = pa.concat_tables([table, gone(known, table[entity_id], contract, seen_on).select(table.column_names)])
    if "replaced_by" in contract.column_names:
        refuse_unknown(names, table[entity_id].to_pylist(), files[0].name)
        replaced_by = [names.get(each) for each in table[entity_id].to_pylist()]
        table = table.append_column("replaced_by", pa.array(replaced_by, pa.string()))
    known_keys = known.select([entity_id, key_of(entity_id)])
    keys, free = keys_for(table[entity_id].combine_chunks(), known_keys, next_key(noted))
    table = table.append_column(key_of(entity_id), pa.array(keys)).select(contract.column_names)
    require_unchanged(files)
    reserve_keys(job, contract, files[0], free)
    job.publish(QUARANTINE, bad, {"table_name": [contract.name]})
    count = job.publish(contract, table, {}, derived_from=[contract])
    if attributes is not None:
        job.publish(ARTICLE_ATTRIBUTES, attributes.take(_first_rows(attributes)), {"source_file": [files[0].name]})
    taken = {
        "source_file": files[0].name,
        "source_checksum": files[0].checksum,
        "mapping_digest": source,
        "table_version": job.warehouse.versions_written[contract.name],
        "next_key": free,
        "as_of_date": seen_on,
    }
    record(job, contract, [taken], gone=None)
    further = f"; {count - listed:,} more are not listed any more" if count > listed else ""
    if seen_on > job.settings.as_of_date:
        further += f"; in place of a list that a run of {seen_on} found, a later date"
    from_files = ", ".join(file.name for file in files)
    return f"{listed:,} rows from {from_files}; {bad.num_rows:,} rows in quarantine{further}"


def _first_rows(attributes: pa.Table) -> pa.Array:
    """Rows but for those of lines that only repeat an earlier one."""
    facts = attributes.select(["article_id", "name", "value"]).append_column("n", pa.array(range(len(attributes))))
    return facts.group_by(["article_id", "name", "value"]).aggregate([("n", "min")])["n_min"].combine_chunks()


def with_gone(rows: pa.Table, contract: Contract, gone_on: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The rows with a date from which each one is not listed any more, null where it is, and the flag that says so."""
    name = gone_on_of(contract)
    others = {column: rows[column] for column in rows.column_names if column not in (name, _FLAGS[name])}
    return pa.table(others | {name: gone_on, _FLAGS[name]: gone_on.is_valid()})


def gone(known: pa.Table, listed: pa.ChunkedArray, contract: Contract, seen_on: date) -> pa.Table:
    """The rows that the table has and the list has not, each with the date from which that is so.

    Args:
        known: the table as last published.
        listed: the ids of the new list.
        contract: the table's.
        seen_on: the newest as-of date so far. What an earlier list has was there at the runs that it was given to: a
            backfill of an earlier week that is the first to see a shorter list takes nothing from the weeks between.
    """
    missing = known.filter(pc.invert(pc.is_in(known[contract.key[0]], value_set=listed.combine_chunks())))
    return with_gone(missing, contract, missing[gone_on_of(contract)].fill_null(seen_on))


def is_ingested(job: Job, contract: Contract, source: str) -> bool:
    """True if the table is as an earlier run made it from the same files with the same mapping.

    That the list still stands is noted, where this is the newest as-of date that it does.
    """
    as_it_is = [row for row in recorded(job, contract).values() if row["mapping_digest"] == source]
    later = [row for row in as_it_is if (row["as_of_date"] or date.min) < job.settings.as_of_date]
    if later:
        record(job, contract, [row | {"as_of_date": job.settings.as_of_date} for row in later])
    return bool(as_it_is)


def _known_by_id_alone(contract: Contract, ids: pa.Array) -> pa.Table:
    fields = {field.name: pa.nulls(len(ids), field.type) for field in arrow_schema(contract)}
    nothing = {
        name: values.fill_null(False) if pa.types.is_boolean(values.type) else values for name, values in fields.items()
    }
    return pa.table(nothing | {contract.key[0]: ids})
