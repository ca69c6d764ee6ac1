"""The published tables: which version a page shows, and what it says where there is none."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field

from app.tables.snapshot import Unavailable
from app.tables.store import Source, Tables
from expectations.recommendations import RECOMMENDATIONS
from expectations.similarity import SIMILAR_ARTICLES
from tests.app.conftest import CUSTOMER_IDS, PICKS, WEEK, recommendations, similar_articles, write

PICKED = Source(RECOMMENDATIONS, ("customer_id", "rank", "article_id"))
OF_ONE = "SELECT * FROM @picks WHERE customer_id = $customer ORDER BY rank"
NEXT = WEEK + timedelta(7)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    write(tmp_path, RECOMMENDATIONS, recommendations(WEEK))
    return tmp_path


def articles(tables: Tables, customer: str = CUSTOMER_IDS[0], source: Source = PICKED) -> list[str]:
    rows = tables.reading().query(OF_ONE, {"picks": source}, {"customer": customer})
    return [row["article_id"] for row in rows]


def next_week() -> list[dict[str, object]]:
    """The same picks, in the other order, a week later."""
    return [row | {"as_of_date": NEXT, "rank": PICKS + 1 - row["rank"]} for row in recommendations(WEEK)]


def test_a_page_sees_the_week_that_was_published_while_the_shop_runs_and_never_two(warehouse: Path) -> None:
    tables = Tables(str(warehouse), refresh_seconds=0.05)
    before, begun = articles(tables), tables.reading()
    assert begun.snapshot(RECOMMENDATIONS).as_of_date == WEEK
    write(warehouse, RECOMMENDATIONS, next_week())
    until = time.monotonic() + 10
    while articles(tables) == before and time.monotonic() < until:
        time.sleep(0.06)
    assert articles(tables) == before[::-1]
    rows = begun.query(OF_ONE, {"picks": PICKED}, {"customer": CUSTOMER_IDS[0]})
    assert [row["article_id"] for row in rows] == before, "a page that has begun goes on with its versions"


def test_an_older_week_that_is_published_later_is_not_the_newest(warehouse: Path) -> None:
    tables = Tables(str(warehouse))
    before = articles(tables)
    write(warehouse, RECOMMENDATIONS, [row | {"as_of_date": WEEK - timedelta(7)} for row in next_week()])
    tables.look(RECOMMENDATIONS)
    assert articles(tables) == before


def test_half_a_publish_is_not_seen(warehouse: Path) -> None:
    staged = warehouse / RECOMMENDATIONS.path / "staged-1" / f"as_of_date={NEXT}"
    staged.mkdir(parents=True)
    rows = pa.Table.from_pylist([{"customer_id": CUSTOMER_IDS[0], "rank": 1, "article_id": "x"}])
    pq.write_table(rows, staged / "a.parquet")
    tables = Tables(str(warehouse))
    assert tables.reading().snapshot(RECOMMENDATIONS).as_of_date == WEEK
    assert "x" not in articles(tables)


def test_files_that_housekeeping_removed_are_looked_up_again(warehouse: Path) -> None:
    tables = Tables(str(warehouse), refresh_seconds=3600)
    before = articles(tables)
    table = DeltaTable(str(warehouse / RECOMMENDATIONS.path))
    write(warehouse, RECOMMENDATIONS, next_week())
    table.update_incremental()
    table.delete(f"as_of_date = '{WEEK}'")
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert articles(tables) == before[::-1]


def test_a_table_that_is_not_there_says_what_to_run_until_it_is(tmp_path: Path) -> None:
    tables = Tables(str(tmp_path), refresh_seconds=0.05)
    with pytest.raises(Unavailable, match="gold/recommendations is not there yet: run `make demo`"):
        articles(tables)
    write(tmp_path, RECOMMENDATIONS, recommendations(WEEK))
    tables.look(RECOMMENDATIONS)
    assert len(articles(tables)) == PICKS


def test_a_table_without_rows_is_an_empty_list(tmp_path: Path) -> None:
    write(tmp_path, RECOMMENDATIONS, [])
    assert articles(Tables(str(tmp_path))) == []


def test_a_column_more_is_no_matter_and_one_less_is_named(warehouse: Path) -> None:
    before = articles(Tables(str(warehouse)))
    DeltaTable(str(warehouse / RECOMMENDATIONS.path)).alter.add_columns([Field("discount", "double")])
    tables = Tables(str(warehouse))
    assert articles(tables) == before
    newer = Source(RECOMMENDATIONS, ("customer_id", "rank", "article_id", "discount"))
    rows = tables.reading().query(OF_ONE, {"picks": newer}, {"customer": CUSTOMER_IDS[0]})
    assert {row["discount"] for row in rows} == {None}, "files from before have no such column"
    newest = Source(RECOMMENDATIONS, ("customer_id", "rank", "article_id", "voucher"))
    with pytest.raises(Unavailable, match="made by another version of Atelier: it has no voucher"):
        articles(tables, source=newest)


@pytest.mark.parametrize(
    ("feature", "configuration"),
    [("columnMapping", {"delta.columnMapping.mode": "name"}), ("someFeatureOfTomorrow", {})],
)
def test_a_form_that_the_shop_does_not_know_is_said(
    warehouse: Path, feature: str, configuration: dict[str, str]
) -> None:
    log = warehouse / RECOMMENDATIONS.path / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "protocol" in line:
            features = {"readerFeatures": [feature], "writerFeatures": [feature]}
            line["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
        if "metaData" in line:
            line["metaData"]["configuration"] |= configuration
    log.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(Unavailable, match="gold/recommendations"):
        articles(Tables(str(warehouse)))


def test_a_damaged_file_is_said(warehouse: Path) -> None:
    (file,) = (warehouse / RECOMMENDATIONS.path).rglob("*.parquet")
    file.write_bytes(b"PAR1" + file.read_bytes()[4:-40])
    with pytest.raises(Unavailable, match="gold/recommendations cannot be read"):
        articles(Tables(str(warehouse)))


def test_a_partition_is_chosen_by_its_files(tmp_path: Path) -> None:
    write(tmp_path, SIMILAR_ARTICLES, similar_articles())
    reading = Tables(str(tmp_path)).reading()
    columns = ("article_id", "similar_article_id")
    counts = {
        method: len(reading.query("SELECT * FROM @s", {"s": Source(SIMILAR_ARTICLES, columns, (("method", method),))}))
        for method in (*reading.snapshot(SIMILAR_ARTICLES).partition_values("method"), "no_such")
    }
    whole = len(similar_articles()) // 2
    assert counts == {"cosine_efficientnet_lite0": whole, "minilm": whole, "no_such": 0}


def test_what_is_asked_for_is_never_a_query(warehouse: Path) -> None:
    assert articles(Tables(str(warehouse)), "' OR 1 = 1 --") == []
