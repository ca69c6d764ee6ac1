"""Articles by id in a file: what the tables say at a page's versions, and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest

from app.catalog.shelf import COLUMNS, KEPT_SECONDS, PRICE, Shelf
from app.tables.store import Reading, Source, Tables
from expectations.articles import ARTICLES
from expectations.features import ARTICLE_FEATURES
from tests.app.conftest import ARTICLE_IDS, WEEK, article_features, articles, write


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    root = tmp_path / "warehouse"
    write(root, ARTICLES, articles())
    write(root, ARTICLE_FEATURES, article_features())
    return root


def of_tables(reading: Reading) -> list[dict[str, object]]:
    prices = {row["article_id"]: row["price_median"] for row in article_features()}
    rows = reading.query("SELECT * FROM @articles ORDER BY article_id", {"articles": Source(ARTICLES, COLUMNS)})
    return [row | {PRICE: prices.get(row["article_id"])} for row in rows]


def test_it_says_what_the_tables_say(warehouse: Path, tmp_path: Path) -> None:
    shelf, reading = Shelf(tmp_path / "shelf"), Tables(str(warehouse)).reading()
    assert shelf.rows(reading, ARTICLE_IDS[:2]) is None, "it is not there yet: the tables are asked"
    shelf.make(reading)
    assert shelf.rows(reading, [*ARTICLE_IDS, "none", "' OR 1 = 1 --"]) == of_tables(reading)


def test_it_comes_by_itself_in_the_background(warehouse: Path, tmp_path: Path) -> None:
    shelf, reading = Shelf(tmp_path / "shelf"), Tables(str(warehouse)).reading()
    until = time.monotonic() + 10
    while shelf.rows(reading, ARTICLE_IDS[:1]) is None and time.monotonic() < until:
        time.sleep(0.02)
    assert shelf.rows(reading, ARTICLE_IDS[:1]) == of_tables(reading)[:1]


def test_a_page_has_the_prices_of_its_own_version(warehouse: Path, tmp_path: Path) -> None:
    shelf, tables = Shelf(tmp_path / "shelf"), Tables(str(warehouse))
    before = tables.reading()
    shelf.make(before)
    dearer = [row | {"as_of_date": WEEK + timedelta(7), PRICE: row[PRICE] * 2} for row in article_features()]
    write(warehouse, ARTICLE_FEATURES, dearer)
    tables.look(ARTICLE_FEATURES)
    after = tables.reading()
    assert shelf.rows(after, ARTICLE_IDS[:1]) is None
    shelf.make(after)
    (new,), (old,) = shelf.rows(after, ARTICLE_IDS[:1]) or [{}], shelf.rows(before, ARTICLE_IDS[:1]) or [{}]
    assert new[PRICE] == 2 * old[PRICE]


def test_without_prices_there_are_none(warehouse: Path, tmp_path: Path) -> None:
    shutil.rmtree(warehouse / ARTICLE_FEATURES.path)
    shelf, reading = Shelf(tmp_path / "shelf"), Tables(str(warehouse)).reading()
    shelf.make(reading)
    assert [row[PRICE] for row in shelf.rows(reading, ARTICLE_IDS[:2]) or ()] == [None, None]


def test_a_file_that_nobody_needs_goes(warehouse: Path, tmp_path: Path) -> None:
    shelf, reading = Shelf(tmp_path / "shelf"), Tables(str(warehouse)).reading()
    shelf.make(reading)
    (current,) = shelf.folder.iterdir()
    old, young = shelf.folder / "old.sqlite3", shelf.folder / "young.sqlite3"
    old.touch()
    young.touch()
    os.utime(old, (0, time.time() - KEPT_SECONDS - 1))
    shelf.make(reading)
    assert sorted(shelf.folder.iterdir()) == sorted([current, young])
