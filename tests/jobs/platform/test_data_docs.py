"""Data Docs: one site per run, whose tasks add their pages, whatever the run is called."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.platform.checks import check_rows
from jobs.platform.data_docs import site, write_page
from tests.jobs.platform.things import DAY, THINGS, arrow, day

RUN = "scheduled__2020-09-16T00:00:00+00:00"


def add(root: Path, job: str, verdict: str = "passed", said: tuple[str, ...] = (), run: str = RUN) -> None:
    rows = arrow(day(DAY, 1.0) if verdict == "passed" else day(DAY, 99.0))
    write_page(str(root), {"run_id": run, "job": job}, THINGS, check_rows(THINGS, rows), verdict, said)


def listed(root: Path, run: str = RUN) -> dict[str, str]:
    """Task -> verdict, from the index; every linked page is there."""
    folder = Path(site(str(root), run))
    text = (folder / "index.html").read_text()
    pages = re.findall(r'<td class="(\w+)">.*?href="(gold\.things\.(.*?)\.html)"', text)
    assert all("Evaluated Expectations" in (folder / page).read_text() for _, page, _ in pages)
    return {job: verdict for verdict, _, job in pages}


def test_tasks_of_a_run_share_a_site_and_a_rerun_replaces_its_own_pages(tmp_path):
    add(tmp_path, "a.b", "stopped", ("weight: <b> is too much",))
    add(tmp_path, "a.c")
    assert listed(tmp_path) == {"a.b": "stopped", "a.c": "passed"}
    assert "weight: &lt;b&gt; is too much" in Path(site(str(tmp_path), RUN), "index.html").read_text()
    add(tmp_path, "a.b")
    assert listed(tmp_path) == {"a.b": "passed", "a.c": "passed"}


def test_another_run_has_a_site_of_its_own(tmp_path):
    add(tmp_path, "a.b")
    add(tmp_path, "a.b", "stopped", run=RUN.replace(":", "_"))
    assert (listed(tmp_path), listed(tmp_path, RUN.replace(":", "_"))) == ({"a.b": "passed"}, {"a.b": "stopped"})


def test_tasks_at_once_are_all_listed(tmp_path):
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda n: add(tmp_path, f"task.{n}"), range(6)))
    assert listed(tmp_path) == {f"task.{n}": "passed" for n in range(6)}


@pytest.mark.parametrize("run", ["..", "../../etc", "/etc", ".hidden", "a b:c+d", ""])
def test_no_run_id_leaves_the_folder(tmp_path, run):
    folder = Path(site(str(tmp_path), run))
    assert folder.resolve().parent == tmp_path / "data_docs"
    assert re.fullmatch(r"[\w-][\w.-]*", folder.name)
