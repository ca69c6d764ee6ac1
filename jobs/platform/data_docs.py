"""Data Docs: what stood between each run's rows and their tables, as pages below `<warehouse>/data_docs/`.

    index.html              all runs, newest first, and all tables
    tables/<table>.html     all runs of one table
    <run>/index.html        one run: a line for each table
    <run>/<page>.html       one table of one run: every expectation with what was found
    <run>/<page>.json       the same in short (Record)
    <run>/run.json          all records of the run

The tasks of a run are processes of their own, and runs overlap. A publish writes its own page and record, and then the
pages that list them, from the records that are there, until they say what these say: whoever comes last lists all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow.fs as pafs

from expectations.contract import Contract
from jobs.platform import storage
from jobs.platform.data_docs_pages import (
    Record,
    Run,
    history,
    with_neighbours,
    write_index,
    write_run,
    write_table,
    write_validation,
)

#: Runs whose pages `remove_old_runs` leaves: some years of weekly runs.
RUNS_KEPT = 200

#: Names below data_docs that no run's folder takes.
_RESERVED = ("index.html", "tables")

#: Times that pages which list others are written again because a publish beside this one changed what they list.
_ROUNDS = 20

#: Requests at once to an object store.
_READERS = 16


def site(root: str, run_id: str) -> str:
    """Folder (or URI) of a run's pages."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", run_id).lstrip(".")[:200] or "_"
    if name != run_id or name in _RESERVED:  # two run ids are never one folder
        name += "-" + hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return f"{root}/data_docs/{name}"


def page_of(root: str, stamp: Mapping[str, str], contract: Contract) -> str:
    """Path (or URI) of the page of a table's checks, there once they have run: for links to it.

    Args:
        root: the warehouse.
        stamp: run_id and job of the run, as far as known.
        contract: the table.
    """
    return f"{site(root, _run_id(stamp))}/{_page_name(stamp, contract)}.html"


def write_page(
    root: str, stamp: Mapping[str, str], contract: Contract, results: Sequence[Any], verdict: str, said: Sequence[str]
) -> str:
    """Add a table's results to the pages of its run, or replace them; returns the path (or URI) of its page.

    Args:
        root: the warehouse.
        stamp: run_id, job and as_of_date of the run, as far as known.
        contract: the table.
        results: what Great Expectations found, rule by rule.
        verdict: passed, warned or stopped.
        said: the failures and warnings in words.
    """
    name = _page_name(stamp, contract)
    record = Record(
        table=contract.path,
        page=f"{name}.html",
        job=_job(stamp),
        as_of_date=stamp.get("as_of_date", ""),
        rules=len(results),
        successful=sum(bool(result.success) for result in results),
        verdict=verdict,
        said=list(said),
        run_id=_run_id(stamp),
        time=_now(),
        started=stamp.get("started", ""),
    )
    pages = _Pages(root)
    folder = site(root, record.run_id).rpartition("/")[2]
    page = write_validation(contract, results, record)
    pages.create(folder)
    pages.write({f"{folder}/{record.page}": page, f"{folder}/{name}.json": json.dumps(asdict(record), indent=1)})
    beside: set[str] = set()
    for _ in range(_ROUNDS):
        if not pages.write(dict(_listing(pages, folder, record, page, beside))):
            break
    return page_of(root, stamp, contract)


def remove_old_runs(root: str, keep: int | None = None) -> int:
    """Remove the pages of all but the newest runs, and links to them; returns the number of runs removed.

    Args:
        root: the warehouse.
        keep: how many runs stay; RUNS_KEPT unless given.
    """
    pages, keep = _Pages(root), RUNS_KEPT if keep is None else keep
    runs = pages.runs()
    if not (old := runs[keep:]):
        return 0
    for run in old:
        pages.remove(run.folder)
    left = runs[:keep]
    listing = {"index.html": write_index(left)}
    for table in sorted({record.table for run in old for record in run.records}):
        listing[f"tables/{table.replace('/', '.')}.html"] = write_table(left, table)
    for name in sorted({record.page for run in old for record in run.records}):
        listing |= _linked(pages, left, name)
    pages.write(listing)
    return len(old)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _run_id(stamp: Mapping[str, str]) -> str:
    return stamp.get("run_id", "manual")


def _job(stamp: Mapping[str, str]) -> str:
    return stamp.get("job", "manual")


def _page_name(stamp: Mapping[str, str], contract: Contract) -> str:
    """Quarantine has one page for each task that fills it."""
    return f"{contract.layer}.{contract.name}.{_job(stamp)}"


def _listing(pages: _Pages, folder: str, record: Record, page: str, beside: set[str]) -> Iterator[tuple[str, str]]:
    """All that lists a page or links to it, as it should be by the records that are there now.

    `beside` gathers the folders of pages that were beside it: a run that has come between since must find their links
    set right, by whichever of the two writes last.
    """
    run = pages.run_of_records(folder)
    yield f"{folder}/run.json", run.to_json()
    yield f"{folder}/index.html", write_run(run)
    runs = Run.newest_first([run, *(other for other in pages.runs() if other.folder != folder)])
    yield "index.html", write_index(runs)
    yield f"tables/{record.table.replace('/', '.')}.html", write_table(runs, record.table)
    beside |= _beside(history(runs, record.page), folder)
    yield from _linked(pages, runs, record.page, beside, known={folder: page}).items()


def _beside(ordered: Sequence[tuple[Run, Record]], folder: str) -> set[str]:
    """Folders of a run and of the ones before and after it."""
    folders = [run.folder for run, _ in ordered]
    return {other for n, other in enumerate(folders) if folder in folders[max(n - 1, 0) : n + 2]}


def _linked(
    pages: _Pages,
    runs: Sequence[Run],
    name: str,
    only: Collection[str] | None = None,
    known: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Pages of one table and task with links to the run before and after, by path.

    Args:
        pages: where they are.
        runs: all runs.
        name: file name of the pages.
        only: folders of the runs whose pages are looked at; all unless given.
        known: folder -> page that is not read but taken from here.
    """
    known = known or {}
    ordered = history(runs, name)
    folders = {n: run.folder for n, (run, _) in enumerate(ordered) if only is None or run.folder in only}
    texts = pages.read([f"{folder}/{name}" for folder in folders.values() if folder not in known])
    texts |= {f"{folder}/{name}": text for folder, text in known.items()}
    return {
        path: with_neighbours(text, ordered, n)
        for n, folder in folders.items()
        if (text := texts.get(path := f"{folder}/{name}")) is not None
    }


class _Pages:
    """The files below data_docs of a warehouse, by their path there."""

    def __init__(self, root: str) -> None:
        self._files, self._top = storage.filesystem(f"{root}/data_docs")

    def create(self, folder: str) -> None:
        for name in (folder, "tables"):
            self._files.create_dir(f"{self._top}/{name}")

    def remove(self, folder: str) -> None:
        with suppress(FileNotFoundError):  # another maintenance was quicker
            self._files.delete_dir(f"{self._top}/{folder}")

    def run_of_records(self, folder: str) -> Run:
        """A run by the records of its tables."""
        found = self._list(folder)
        names = [i.base_name for i in found if i.extension == "json" and i.base_name != "run.json"]
        texts = self.read([f"{folder}/{name}" for name in sorted(names) if not name.startswith(".")])
        return Run(folder, tuple(Record(**json.loads(text)) for text in texts.values()))

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        folders = [info.base_name for info in self._list("") if info.type == pafs.FileType.Directory]
        texts = self.read([f"{folder}/run.json" for folder in folders if folder not in _RESERVED])
        return Run.newest_first([Run.from_json(path.partition("/")[0], text) for path, text in texts.items()])

    def read(self, paths: Sequence[str]) -> dict[str, str]:
        """Texts of the files that are there, in this order."""
        with ThreadPoolExecutor(_READERS) as pool:
            texts = list(pool.map(self._text, paths))
        return {path: text for path, text in zip(paths, texts, strict=True) if text is not None}

    def write(self, texts: Mapping[str, str]) -> bool:
        """Write those that differ from what is there, in this order; whether there were any."""
        there = self.read(list(texts))
        changed = {path: text for path, text in texts.items() if there.get(path) != text}
        for path, text in changed.items():
            self._put(f"{self._top}/{path}", text)
        return bool(changed)

    def _list(self, folder: str) -> list[pafs.FileInfo]:
        return self._files.get_file_info(pafs.FileSelector(f"{self._top}/{folder}".rstrip("/"), allow_not_found=True))

    def _text(self, path: str) -> str | None:
        try:
            with self._files.open_input_stream(f"{self._top}/{path}") as stream:
                return stream.read().decode()
        except FileNotFoundError:
            return None

    def _put(self, path: str, text: str) -> None:
        """Write in one step: a reader sees the old file or the new one. (An object is put in one step anyway.)"""
        folder, _, name = path.rpartition("/")
        is_local = isinstance(self._files, pafs.LocalFileSystem)
        draft = f"{folder}/.{name}.{uuid.uuid4()}" if is_local else path
        with self._files.open_output_stream(draft) as stream:
            stream.write(text.encode())
        if is_local:
            os.replace(draft, path)
