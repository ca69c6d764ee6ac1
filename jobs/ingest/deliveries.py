"""Weekly arrivals: which delivered transactions files to take in, given what was taken in before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from jobs.ingest.files import SourceFile
from jobs.platform.errors import JobError


@dataclass(frozen=True)
class Plan:
    """`take`: files to read; `replace`: names whose rows go; `copies`: name -> the name its content came in under."""

    take: list[SourceFile]
    replace: list[str]
    copies: dict[str, str]


def plan(delivered: Sequence[SourceFile], taken: Mapping[str, str], again: Collection[str] = ()) -> Plan:
    """Decide by content: a checksum is taken in once, whatever its name; a known name with new content is replaced.

    A file that was taken in and is no longer delivered keeps its rows.

    Args:
        delivered: the files now in the data folder.
        taken: name -> checksum of the files whose rows are in silver.
        again: names of `taken` to take in again if their content is still delivered.

    Raises:
        JobError: a known name now holds a copy of another file: its earlier rows would vanish.
    """
    sums = {file.name: file.checksum for file in delivered}
    redo = {name for name in again if taken[name] in sums.values()}
    kept = {name: sum_ for name, sum_ in taken.items() if name not in redo and sums.get(name, sum_) == sum_}
    owner = {sum_: name for name, sum_ in kept.items()}
    take, copies = [], {}
    for file in sorted(delivered, key=lambda f: f.name):
        if file.name in kept:
            continue
        if file.checksum not in owner:
            owner[file.checksum] = file.name
            take.append(file)
        elif file.name in taken and file.name not in redo:
            raise JobError(
                f"{file.path}: now a copy of {owner[file.checksum]}, its own rows would be lost; restore or remove it"
            )
        else:
            copies[file.name] = owner[file.checksum]
    replace = sorted({file.name for file in take} | (taken.keys() - kept.keys()))
    return Plan(take, replace, copies)
