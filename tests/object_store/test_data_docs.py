"""Data Docs in an object store: publishes at once are all listed and linked, and old runs go."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from jobs.platform import storage
from jobs.platform.checks import check_rows
from jobs.platform.data_docs import remove_old_runs, write_page
from tests.jobs.platform.things import DAY, THINGS, arrow, day


def text(location: str, path: str) -> str:
    filesystem, folder = storage.filesystem(f"{location}/data_docs")
    with filesystem.open_input_stream(f"{folder}/{path}") as stream:
        return stream.read().decode()


def runs_listed(location: str) -> list[str]:
    return sorted(re.findall(r'href="(\w+)/index\.html"', text(location, "index.html")))


def test_pages_are_kept_linked_and_removed(location: str) -> None:
    assert remove_old_runs(location) == 0
    results = check_rows(THINGS, arrow(day(DAY, 1.0)))

    def add(week: int) -> str:
        stamp = {"run_id": f"week{week}", "job": "a.b", "as_of_date": f"2020-09-{week:02}"}
        return write_page(location, stamp, THINGS, results, "passed", [])

    with ThreadPoolExecutor(4) as pool:
        addresses = list(pool.map(add, (2, 9, 16, 23)))
    assert addresses[0] == f"{location}/data_docs/week2/gold.things.a.b.html"
    assert runs_listed(location) == ["week16", "week2", "week23", "week9"]
    assert re.findall('title="(.*?)"', text(location, "week9/gold.things.a.b.html")) == ["week2", "week16"]
    assert remove_old_runs(location, keep=2) == 2
    assert len(runs_listed(location)) == 2
