"""Data Docs: pages that need no network, say what was found, and lead to each other whoever writes at once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from expectations.contract import RowChange
from jobs.platform import data_docs
from jobs.platform.checks import check_measures, check_rows
from jobs.platform.data_docs import page_of, remove_old_runs, site, write_page
from tests.jobs.platform.things import DAY, THINGS, arrow, day

RUN = "scheduled__2020-09-16T00:00:00+00:00"
JOB = "features.things"

#: Attributes that make a browser fetch something, or go somewhere.
LOADS = {("link", "href"), *((tag, "src") for tag in ("script", "img", "iframe", "audio", "video", "source", "embed"))}


def add(
    root: Path,
    job: str = JOB,
    verdict: str = "passed",
    said: tuple[str, ...] = (),
    run: str = RUN,
    as_of: str = "2020-09-16",
) -> Path:
    """Publish things, whose page says so; the page."""
    rows = arrow(day(DAY, 1.0, None) if verdict == "passed" else day(DAY, 99.0))
    stamp = {"run_id": run, "job": job, "as_of_date": as_of}
    return Path(write_page(str(root), stamp, THINGS, check_rows(THINGS, rows), verdict, said))


class Page(HTMLParser):
    """Elements of a page by name, with their attributes; `text` of all, without styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.html = path.read_text()
        self.path, self.text, self.styles = path, "", ""
        self._in_style = False
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles += data
        else:
            self.text += data

    @property
    def links(self) -> list[Path]:
        hrefs = [attributes["href"] for tag, attributes in self.elements if tag == "a" and "href" in attributes]
        return [(self.path.parent / href).resolve() for href in hrefs if not href.startswith("#")]

    def of(self, tag: str) -> str:
        """The text of the first such element."""
        found = re.search(rf"<{tag}\b.*?>(.*?)</{tag}>", self.html, re.DOTALL)
        assert found, tag
        return " ".join(unescape(re.sub("<.*?>", "", found[1])).split())

    def beside(self) -> list[str]:
        """Runs that the links to the page before and after lead to."""
        found = {a["rel"]: a["title"] for tag, a in self.elements if tag == "a" and "rel" in a}
        return [found.get("prev", "-"), found.get("next", "-")]


def pages(root: Path) -> list[Page]:
    return [Page(path) for path in sorted((root / "data_docs").rglob("*.html"))]


def listed(root: Path, run: str = RUN) -> dict[str, str]:
    """Task -> verdict, from the index of the run; every linked page is there."""
    folder = Path(site(str(root), run))
    text = (folder / "index.html").read_text()
    found = re.findall(r'<span class="status (\w+)">\w+</span></td>\s*<td.*?href="(gold\.things\.(.*?)\.html)"', text)
    assert all("Expectations met" in (folder / page).read_text() for _, page, _ in found)
    return {job: verdict for verdict, _, job in found}


def runs_listed(root: Path) -> list[str]:
    """Runs in the order of the index of all."""
    text = (root / "data_docs/index.html").read_text()
    return [unescape(run) for run in re.findall(r'/index\.html">(.*?)</a>', text)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Pages of three weeks, one of them broken."""
    root = tmp_path_factory.mktemp("shop")
    for week in (2, 9, 16):
        verdict, said = ("stopped", ("weight: too much",)) if week == 9 else ("passed", ())
        for job in ("a.b", "a.c"):
            add(root, job, verdict, said, run=f"week {week}", as_of=f"2020-09-{week:02}")
    return root


def test_pages_ask_for_nothing_from_anywhere(shop):
    for page in pages(shop):
        loaded = [a[name] for tag, a in page.elements for t, name in LOADS if tag == t and name in a]
        assert all(address.startswith("data:") for address in loaded), (page.path, loaded)
        assert not re.search(r"@import|url\(", page.html), page.path
        assert not re.search("https?:|//", page.styles + " ".join(str(a) for _, a in page.elements)), page.path
        assert "script" not in {tag for tag, _ in page.elements}
        assert "default-src 'none'" in page.html, "nothing from the data is loaded or run either"


def test_every_page_is_reached_from_the_index_and_leads_back(shop):
    index = shop / "data_docs/index.html"
    seen, ahead = set[Path](), [index.resolve()]
    while ahead:
        path = ahead.pop()
        if path not in seen:
            seen.add(path)
            ahead += Page(path).links
    assert seen == {page.path.resolve() for page in pages(shop)}
    assert len(seen) == 1 + 1 + 3 * 3
    assert all(index.resolve() in page.links for page in pages(shop) if page.path != index)


def test_a_page_says_of_what_it_is(shop):
    page = Page(Path(page_of(str(shop), {"run_id": "week 9", "job": "a.b"}, THINGS)))
    for element in ("title", "h1"):
        assert re.match(r"gold/things .*as of 2020-09-09.*week 9", page.of(element))
    assert "weight: too much" in page.text


def test_a_page_advertises_nothing(shop):
    for page in pages(shop):
        assert not re.search("how to|walkthrough|get started|cloud|learn more|slack", page.text, re.IGNORECASE)


def cells(path: Path, rule: str) -> list[str]:
    """Status, expectation, examples and observed value in the row with this wording."""
    rows = re.split(r"<section|</section>|<tr>(?=\s*<td>\s*<span)", path.read_text())
    (row,) = (row for row in rows if rule in " ".join(unescape(re.sub("<.*?>", " ", row)).split()))
    texts = (" ".join(unescape(re.sub("<.*?>", " ", cell)).split()) for cell in re.split("<t[dh]>", row))
    return [text for text in texts if text]


def test_a_page_tells_counts_percentages_and_examples(tmp_path):
    rows = arrow([*day(DAY, 1.0, None, 2.0), (DAY, "F<i>g</i>", "huge", 99.0)])
    contract = replace(THINGS, row_change=RowChange(0.5, 1.9, "as many"))
    results = check_rows(contract, rows) + check_measures(contract, [{"slice": "a", RowChange.measure: 1.25}])
    path = Path(write_page(str(tmp_path), {}, contract, results, "stopped", ["no"]))
    assert cells(path, "less than or equal to 10")[-1] == "1 of 3 unexpected (33.33%); 1 null"
    assert "99.0" in cells(path, "less than or equal to 10")
    assert cells(path, "less than or equal to 10")[0] == "✗ failed"
    assert cells(path, "Must have")[-1] == "4"
    assert cells(path, "at most 1.9")[::2] == ["✓ passed", "1.25"]
    assert "F<i>g</i>" in cells(path, "match")
    page = Page(path)
    assert "i" not in {tag for tag, _ in page.elements}, "a value of the data is text, and icons are words"
    assert "0 of 4 null (0%)" in page.text and "Weight; null if unknown" in page.text


def test_tasks_of_a_run_share_a_site_and_a_rerun_replaces_its_own_pages(tmp_path):
    add(tmp_path, "a.b", "stopped", ("weight: <b> is too much",))
    add(tmp_path, "a.c")
    assert listed(tmp_path) == {"a.b": "stopped", "a.c": "passed"}
    assert "weight: &lt;b&gt; is too much" in Path(site(str(tmp_path), RUN), "index.html").read_text()
    add(tmp_path, "a.b")
    assert listed(tmp_path) == {"a.b": "passed", "a.c": "passed"}
    assert "2 passed" in (tmp_path / "data_docs/index.html").read_text()


def test_another_run_has_a_site_of_its_own(tmp_path):
    add(tmp_path, "a.b")
    add(tmp_path, "a.b", "stopped", run=RUN.replace(":", "_"))
    assert (listed(tmp_path), listed(tmp_path, RUN.replace(":", "_"))) == ({"a.b": "passed"}, {"a.b": "stopped"})


def test_pages_of_a_table_are_linked_by_as_of_date_in_whatever_order_they_come(tmp_path):
    found = {week: add(tmp_path, run=f"week {week}", as_of=f"2020-09-{week:02}") for week in (2, 16, 9)}
    add(tmp_path, run="week 2", as_of="2020-09-02")
    add(tmp_path, "another.task", run="week 10", as_of="2020-09-10")
    assert [Page(found[week]).beside() for week in (2, 9, 16)] == [
        ["-", "week 9"],
        ["week 2", "week 16"],
        ["week 9", "-"],
    ]


def test_the_newest_run_is_listed_first(tmp_path, monkeypatch):
    for number, run in enumerate(("b", "c", "a")):
        monkeypatch.setattr("jobs.platform.data_docs._now", lambda n=number: f"2020-09-16T00:00:{n:02}+00:00")
        add(tmp_path, run=run)
    assert runs_listed(tmp_path) == ["a", "c", "b"]


@pytest.mark.parametrize("what", ["tasks", "runs"])
def test_publishes_at_once_are_all_listed(tmp_path, what):
    def publish(number: int) -> Path:
        week = date(2020, 9, 1 + number).isoformat()
        return add(tmp_path, f"task.{number}") if what == "tasks" else add(tmp_path, run=week, as_of=week)

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(publish, range(6)))
    weeks = [str(date(2020, 9, n + 1)) for n in range(6)]
    if what == "tasks":
        assert listed(tmp_path) == {f"task.{n}": "passed" for n in range(6)}
        return
    assert sorted(runs_listed(tmp_path)) == weeks
    assert all(week in (tmp_path / "data_docs/tables/gold.things.html").read_text() for week in weeks)
    beside = [Page(path).beside() for path in found]
    assert beside == [[a, b] for a, b in zip(["-", *weeks], [*weeks[1:], "-"], strict=False)]


def overtake(monkeypatch: pytest.MonkeyPatch, root: Path, publishes: list[dict[str, str]]) -> None:
    """Let others publish, the last one first, each between a publish's reading and its writing."""
    listing = data_docs._listing

    def overtaken(*args):
        stale = list(listing(*args))
        if publishes:
            add(root, **publishes.pop())
        return stale

    monkeypatch.setattr(data_docs, "_listing", overtaken)


def test_a_run_that_comes_between_two_others_while_the_later_one_is_listed_keeps_its_links(tmp_path, monkeypatch):
    first = add(tmp_path, run="week 2", as_of="2020-09-02")
    overtake(monkeypatch, tmp_path, [{"run": "week 4", "as_of": "2020-09-04"}])
    last = add(tmp_path, run="week 6", as_of="2020-09-06")
    between = Path(site(str(tmp_path), "week 4"), last.name)
    assert [Page(path).beside() for path in (first, between, last)] == [
        ["-", "week 4"],
        ["week 2", "week 6"],
        ["week 4", "-"],
    ]


def test_a_publish_between_reading_and_writing_is_listed(tmp_path, monkeypatch):
    beside = [{"run": "week 23", "as_of": "2020-09-23"}, {"job": "a.c", "run": "week 16"}]
    overtake(monkeypatch, tmp_path, beside)
    page = add(tmp_path, run="week 16")
    assert not beside
    assert sorted(runs_listed(tmp_path)) == ["week 16", "week 23"]
    assert set(listed(tmp_path, "week 16")) == {JOB, "a.c"}
    assert Page(page).beside() == ["-", "week 23"]


def test_old_runs_go_with_all_links_to_them(tmp_path, monkeypatch):
    for week in (2, 9, 16):
        monkeypatch.setattr("jobs.platform.data_docs._now", lambda n=week: f"2020-10-{n:02}T00:00:00+00:00")
        add(tmp_path, run=f"week {week}", as_of=f"2020-09-{week:02}")
    assert remove_old_runs(str(tmp_path), keep=3) == 0
    assert remove_old_runs(str(tmp_path), keep=2) == 1
    assert runs_listed(tmp_path) == ["week 16", "week 9"]
    assert all(link.exists() for page in pages(tmp_path) for link in page.links)
    assert "2020-09-02" not in "".join(page.html for page in pages(tmp_path))


def test_a_warehouse_without_pages_has_none_to_remove(tmp_path):
    assert remove_old_runs(str(tmp_path)) == 0


def test_a_page_is_where_links_to_it_lead(tmp_path):
    stamp = {"run_id": RUN, "job": JOB}
    assert str(add(tmp_path)) == page_of(str(tmp_path), stamp, THINGS)
    assert Path(page_of(str(tmp_path), stamp, THINGS)).is_file()
    assert page_of("s3://bucket/w", {}, THINGS) == "s3://bucket/w/data_docs/manual/gold.things.manual.html"


@pytest.mark.parametrize("run", ["..", "../../etc", "/etc", ".hidden", "a b:c+d", "", "tables", "index.html"])
def test_no_run_id_leaves_the_folder_or_takes_another_name(tmp_path, run):
    folder = Path(site(str(tmp_path), run))
    assert folder.resolve().parent == tmp_path / "data_docs"
    assert re.fullmatch(r"[\w-][\w.-]*", folder.name)
    assert folder.name not in ("tables", "index.html")
