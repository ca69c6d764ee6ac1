"""Which files of the data folder are a table's: by name, packed or not, or a folder of part files."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pyarrow.fs as pafs

from jobs.ingest.mapping import Delivered
from jobs.platform import storage
from jobs.platform.errors import JobError

#: What a file may be called besides, once it is compressed. What it is, its bytes say.
_PACKED = re.compile(r"(?i)\.(gz|gzip|zst|zstd|bz2|xz|lz4)$")
#: Folders that are more than the files in them -> what they are.
_TABLES = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table", "metadata": "an Iceberg table"}
_SHOWN = 8


def source_paths(data: str | Path, table: Delivered) -> list[str]:
    """The table's files and folders below `data`, not looked into; raises JobError when there are none."""
    filesystem, root = storage.filesystem(storage.normalized(data) if storage.is_uri(data) else str(data))
    if filesystem.get_file_info(root).type != pafs.FileType.Directory:
        raise JobError(f"{data}: no such folder; --data names the folder with the retailer's files")
    pattern = PurePosixPath(table.file)
    folder = f"{root}/{pattern.parent}" if pattern.parent.name else root
    if filesystem.get_file_info(folder).type == pafs.FileType.File:
        raise JobError(f"{data}/{table.file}: {pattern.parent} is a file and no folder; put the files into one")
    there = filesystem.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    names = sorted(info.base_name for info in there if info.type in (pafs.FileType.File, pafs.FileType.Directory))
    found = [name for name in names if _is_named(name, pattern.name)]
    if not found:
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
        raise JobError(
            f"{data}/{table.file}: no such file (there {f'is {shown}' if names else 'is nothing'});"
            " put it there, or give another --data or --mapping"
        )
    plain = [_PACKED.sub("", name) for name in found]
    if twice := [name for name, stem in zip(found, plain, strict=True) if plain.count(stem) > 1]:
        raise JobError(f"{data}/{table.file}: {' and '.join(twice)} seem to be the same delivery; leave one")
    prefix = f"{data}".rstrip("/") + (f"/{pattern.parent}" if pattern.parent.name else "")
    return [f"{prefix}/{name}" for name in found]


def _is_named(name: str, pattern: str) -> bool:
    if name[0] in "._" and pattern[0] != name[0]:
        return False  # what Spark and file managers leave beside the data
    return fnmatchcase(name, pattern) or fnmatchcase(_PACKED.sub("", name), pattern)


def is_folder(path: str) -> bool:
    """Whether it is a folder of files."""
    filesystem, place = storage.filesystem(path)
    return filesystem.get_file_info(place).type == pafs.FileType.Directory


def parts_of(path: str) -> list[str]:
    """The files of a folder and of folders in it, by name, without those that Spark does not read.

    Raises JobError where there are none, or the folder is more than its files.
    """
    filesystem, place = storage.filesystem(path)
    there = filesystem.get_file_info(pafs.FileSelector(place, recursive=True))
    names = sorted((info.path[len(place) :].lstrip("/"), info.type) for info in there)
    for name, _ in names:
        if (what := _TABLES.get(name)) and (name != "metadata" or any(n.endswith(".metadata.json") for n, _ in names)):
            raise JobError(f"{path}: {what}, whose folder holds rows that are deleted; export it to CSV or Parquet")
        if name == "_temporary":
            raise JobError(f"{path}: still being written, or left half written (_temporary); write it again")
    files = [name for name, kind in names if kind == pafs.FileType.File and not re.search(r"(^|/)[._]", name)]
    if not files:
        raise JobError(f"{path}: a folder without files; deliver it again")
    return [f"{path}/{name}" for name in files]


def partition_of(path: str, folder: str) -> tuple[tuple[str, str], ...]:
    """Columns and values that the names of folders give (t_dat=2020-09-01), as Spark's partitionBy writes them."""
    steps = path[len(folder) :].strip("/").split("/")[:-1]
    pairs = [step.partition("=") for step in steps if "=" in step]
    return tuple((unquote(name), "" if "__HIVE_DEFAULT" in value else unquote(value)) for name, _, value in pairs)


def warn_of_gaps(path: str, files: Sequence[str]) -> None:
    """Say where the numbers of a folder's parts have gaps: Spark leaves out empty ones, and uploads others."""
    numbers = {int(found[1]) for name in files if (found := re.search(r"(?:^|/)part-(\d+)", name))}
    if numbers and (gaps := sorted(set(range(max(numbers))) - numbers)):
        said = ", ".join(f"{n:05d}" for n in gaps[:_SHOWN])
        logging.warning("%s: no part %s among its files; Spark leaves out empty ones, else deliver them", path, said)
