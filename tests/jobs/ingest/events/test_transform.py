"""What rows of a log mean, in each of the shapes that ship."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from jobs.ingest.events.mapping import Article, EventsMapping, Time, load_log_mapping
from jobs.ingest.events.reading import BROKEN, LINE, json_frame
from jobs.ingest.events.transform import Understood, transform

A, B, C = "a1" * 16, "b2" * 16, "c3" * 20


def mapped(name: str, **changes: Any) -> EventsMapping:
    return load_log_mapping(name).events.model_copy(update=changes)


def understood(lines: Sequence[str | dict], mapping: EventsMapping) -> Understood:
    """JSON lines, the first of which is line 1."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return transform(json_frame(text.encode(), 1, tuple(mapping.source_columns), mapping.records), mapping)


def of_csv(rows: Sequence[dict[str, str]], mapping: EventsMapping) -> Understood:
    """Rows of a CSV file, the first of which is on line 2."""
    frame = pl.DataFrame([{c: row.get(c) for c in mapping.source_columns} for row in rows], infer_schema_length=None)
    frame = frame.cast(pl.String).with_columns(
        pl.int_range(2, len(rows) + 2, eager=True).alias(LINE), pl.lit(None, pl.String).alias(BROKEN)
    )
    return transform(frame, mapping)


def test_each_fault_has_its_reason_and_line() -> None:
    good = {"time": "2020-09-01T10:00:00Z", "event": "view", "article_id": "1", "visitor_id": "v"}
    lines_and_reasons: list[tuple[str | dict, str | None]] = [
        (good, None),
        ('{"time": "2020', "broken line"),
        ("[1, 2]", "broken line"),
        ("", None),  # a blank line is no row
        (good | {"event": "wink"}, "no rule"),
        (good | {"event": None}, "no rule"),
        (good | {"time": "yesterday"}, "event_time is not a moment (iso in UTC)"),
        (good | {"time": None}, "event_time is empty"),
        (good | {"time": "1970-01-01T00:00:00Z"}, "event_time is before 2000-01-01"),
        (good | {"visitor_id": "NULL"}, "neither customer_id nor visitor_id"),
        (good | {"article_id": ""}, "article_id is empty"),
        (good | {"price": "__import__('os').system('x')"}, "price unreadable, left empty"),
        (good | {"price": -1}, "price unreadable, left empty"),
        (good | {"price": 12.5, "quantity": 2, "position": 0}, None),
        (good | {"quantity": 1.5}, "quantity unreadable, left empty"),
    ]
    found = understood([line for line, _ in lines_and_reasons], mapped("atelier"))
    reasons = dict(found.bad.select("source_line", "reason").iter_rows())
    wanted = {n: reason for n, (_, reason) in enumerate(lines_and_reasons, start=1) if reason}
    assert reasons.keys() == wanted.keys()
    assert [n for n in wanted if not reasons[n].startswith(wanted[n])] == []
    assert found.events["source_line"].to_list() == [1, 12, 13, 14, 15]  # what lost a price alone is kept
    assert found.counts["refused_count"] == len(wanted) - 3 and found.counts["row_count"] == 14
    assert json.loads(found.bad.filter(pl.col("source_line") == 2)["raw_row"].item()) == {"line": '{"time": "2020\n'}


def test_words_for_nothing_are_the_mappings() -> None:
    line = {"time": "2020-09-01T10:00:00Z", "event": "view", "article_id": "1", "visitor_id": "v"}
    lines = [line | {"visitor_id": word} for word in ("nan", "NULL", "(not set)", "(Not set)")]
    found = understood(lines, mapped("atelier"))
    assert found.events["visitor_id"].to_list() == ["(not set)", "(Not set)"]
    found = understood(lines, mapped("atelier", null_value=("(not set)",)))
    assert found.events["visitor_id"].to_list() == ["nan", "NULL", "(Not set)"]


def test_of_what_was_recommended_an_event_says_by_whom() -> None:
    """What the shop window writes beside list and position; a bucket that is none is left empty."""
    line = {"time": "2020-09-01T10:00:00Z", "event": "impression", "article_id": "1", "visitor_id": "v"}
    said = {"list": "recommendations", "position": 3, "source": "als", "model_version": "7", "bucket": 42}
    found = understood([line | said, line | said | {"bucket": 100}, line], mapped("atelier"))
    columns = ["list", "position", "source", "model_version", "bucket"]
    shown = ("recommendations", 3, "als", "7")
    assert found.events.select(columns).rows() == [(*shown, 42), (*shown, None), (None,) * 5]
    assert found.bad["reason"].to_list() == ["bucket unreadable, left empty"]


def test_the_papers_rules_and_its_ids_in_all_sorts_of_text() -> None:
    def row(name: str, button: str = "", package: str = "", ids: str = "", **more: str) -> dict[str, str]:
        return {
            "time": "1693562400", "event_name": name, "button_name1": button, "product_package": package,
            "product_ids": ids, "distinct_id": "d1", **more,
        }  # fmt: skip

    broken_quotes = f'{{"product_id": "{A}", "product_brand": "Premoda, "website": "tfk"}}'
    found = of_csv(
        [
            row("product_similar_items_clicking", "product_itself", broken_quotes, f"['{A}', '{B}']"),
            row("product_details_page_2_view", "None", f"https://shop/p/{A}?x=1"),
            row("ButtonClick", "xAddToFavoritey", f"{{'product_id': '{C}'}}"),
            row("generic_clicking", "bag_button", "", f'["{A}","{B}","{C}"]'),
            row("generic_clicking", "other", A),
            row("shopping_bag_clicking", "plus_button", ""),
            row("question", "", "", "", Answer="my birthday: 13-09-1990", city="Kyiv", User_ID="u1"),
            row("product_details_page_View", "", f"https://shop/p?q=%7B%22product_id%22%3A%22{A}%22%7D&b=%20%7B{B}"),
        ],
        mapped("twentytoo"),
    )
    kept = found.events.select("source_line", "article_id", "event_type", "weight").rows()
    assert kept == [
        (2, A, "click", 1.0), (2, B, "click", 1.0),  # named in both columns: still one; no cross product
        (3, A, "view", 1.0), (4, C, "wishlist", 2.0),
        (5, A, "cart", 3.0), (5, B, "cart", 3.0), (5, C, "cart", 3.0),
        (9, A, "view", 1.0), (9, B, "view", 1.0),  # %22 is no part of the id after it
    ]  # fmt: skip
    assert found.counts | {"rows": len(kept)} == {
        "row_count": 8, "left_out_count": 2, "without_article_count": 1, "refused_count": 0, "rows": 9,
    }  # fmt: skip
    assert found.left_out == {
        '{"button_name1":"other","event_name":"generic_clicking"}': 1,
        '{"button_name1":"","event_name":"question"}': 1,
    }
    facts = found.facts.select("visitor_id", "customer_id", "name", "value").rows()  # of an event that is left out
    assert sorted(facts) == [("d1", "u1", "birth_date", "1990-09-13"), ("d1", "u1", "city", "Kyiv")]


def test_two_public_shapes() -> None:
    rows = [
        {"event_time": "2019-11-01 00:00:00 UTC", "event_type": "view", "product_id": "1003461", "price": "489.07",
         "user_id": "520088904", "user_session": "4d3b30da"},
        {"event_time": "2019-11-01 00:00:01 UTC", "event_type": "remove_from_cart", "product_id": "1", "user_id": "5"},
        {"event_time": "2019-11-01 00:00:02 UTC", "event_type": "purchase", "product_id": "2", "user_id": "5.0"},
    ]  # fmt: skip
    columns = ("event_time", "event_type", "weight", "customer_id", "visitor_id", "article_id", "price")
    at = datetime(2019, 11, 1, tzinfo=UTC)
    found = of_csv(rows, mapped("rees46"))
    assert found.events.select(columns).rows() == [
        (at, "view", 1.0, "520088904", "4d3b30da", "1003461", 489.07),
        (at.replace(second=2), "purchase", 5.0, "5", None, "2", None),
    ]
    assert found.left_out == {'{"event_type":"remove_from_cart"}': 1} and not len(found.bad)
    rows = [
        {"timestamp": "1572566400000", "visitorid": "257597", "event": "view", "itemid": "355908"},
        {"timestamp": "1572566401000", "visitorid": "1", "event": "addtocart", "itemid": "2"},
        {"timestamp": "1572566402000", "visitorid": "1", "event": "transaction", "itemid": "2"},
    ]
    found = of_csv(rows, mapped("retailrocket"))
    assert found.events.select(columns[:3]).rows() == [
        (at.replace(second=n), kind, weight)
        for n, (kind, weight) in enumerate([("view", 1), ("cart", 3), ("purchase", 5)])
    ]
    assert found.events["visitor_id"].to_list() == ["257597", "1", "1"]


@pytest.mark.parametrize(
    ("said", "time_zone", "value", "moment"),
    [
        ("iso", None, "2020-09-01T10:00:00.123Z", "2020-09-01T10:00:00.123"),
        ("iso", None, "2020-09-01 10:00:00+02:00", "2020-09-01T08:00:00"),
        ("iso", "Europe/Stockholm", "2020-07-01 10:00:00", "2020-07-01T08:00:00"),
        ("iso", "Europe/Stockholm", "2020-10-25 02:30:00", "2020-10-25T00:30:00"),  # passed twice: the first
        ("iso", "Europe/Stockholm", "2020-03-29 02:30:00", None),  # left out
        ("epoch_millis", None, "1598954400123", "2020-09-01T10:00:00.123"),
        ("epoch_micros", None, "1598954400123000", "2020-09-01T10:00:00.123"),
        ("epoch_second", None, "1598954400.5", "2020-09-01T10:00:00.500"),
        ("epoch_second", None, "1e30", None),
        ("dd/MM/yyyy HH:mm", "Europe/Stockholm", "01/09/2020 12:00", "2020-09-01T10:00:00"),
        ("yyyy-MM-dd HH:mm:ss 'UTC'", None, "2020-09-01 10:00:00 UTC", "2020-09-01T10:00:00"),
    ],
)
def test_moments(said: str, time_zone: str | None, value: str, moment: str | None) -> None:
    log = mapped("atelier", time_zone=time_zone)
    log = log.model_copy(update={"time": log.time.model_copy(update={"format": said})})
    line = {"event": "view", "article_id": "1", "visitor_id": "v"}
    found = understood([line | {"time": value}, line | {"time": "2020-09-01T00:00:00Z"}], log)
    times = found.events["event_time"].to_list()[:-1]
    assert times == ([datetime.fromisoformat(moment).replace(tzinfo=UTC)] if moment else [])


def test_a_clock_that_is_ahead_of_the_servers() -> None:
    log = mapped("atelier", received=Time(column="at"))
    line = {"event": "view", "article_id": "1", "visitor_id": "v", "at": "2020-09-01T10:00:00Z"}
    found = understood([line | {"time": f"2020-09-01T{t}:00Z"} for t in ("09:00", "10:09", "10:11")], log)
    assert found.events["source_line"].to_list() == [1, 2]
    assert found.bad["reason"].to_list() == ["event_time is more than 10 minutes after its receipt: a clock is ahead"]


def test_the_digest_of_an_event_is_that_of_its_content() -> None:
    line = {"time": "2020-09-01T10:00:00Z", "event": "view", "article_id": "1", "visitor_id": "v"}
    others = [line | {"article_id": "2"}, line | {"visitor_id": None, "customer_id": "v"}, line | {"position": 0}]
    one = understood([line, *others, dict(reversed(line.items()))], mapped("atelier")).events["event_id"].to_list()
    assert one[0] == one[4] and len(set(one)) == 4
    assert one[0] == understood([others[0], line], mapped("atelier")).events["event_id"][1]
    assert one[0] == "ce1985311ac682e1e18d621d61606a37"  # whatever the version: a later delivery must be known again


def test_several_products_are_one_event() -> None:
    line = {"time": "2020-09-01T10:00:00Z", "event": "view", "visitor_id": "v"}
    lists = [["1", "2", "3"], ["1", "2"], ["1"], "1", ["3", "4", "3"]]
    found = understood([line | {"article_id": ids} for ids in lists], mapped("atelier")).events
    ids = found.group_by("source_line", maintain_order=True).agg("event_id", "article_id")
    assert ids["article_id"].to_list() == [["1", "2", "3"], ["1", "2"], ["1"], ["1"], ["3", "4"]]
    events = [set(of_line) for of_line in ids["event_id"]]
    assert [len(of_line) for of_line in events] == [1] * 5 and len(set.union(*events)) == 4 and events[2] == events[3]


def test_ids_under_a_key_of_json() -> None:
    """Of objects within an object the same key is another's; what is no id is none."""
    log = mapped("atelier", articles=(Article(column="items", key="id"),))
    line = {"time": "2020-09-01T10:00:00Z", "event": "view", "visitor_id": "v"}
    texts_and_ids: list[tuple[object, list[str]]] = [
        ('{"id": "p1", "category": {"id": "c1"}}', ["p1"]),
        ([{"id": "p1", "variant": {"id": "v1"}}, {"sku_id": 3, "id": 7.0}, {"id": "p1"}], ["p1", "7"]),
        (r'[{"name": "an \"id\": 5", "id": "a\"b\u00e5"}, 7, null]', ['a"bå']),
        ([{"id": ""}, {"id": "null"}, {"id": None}, {"id": " "}, {"id": {"x": 1}}], []),
        ('[{"id": "9.12E+11"}]', []),
        ('{"id": "p1"', []),
    ]
    found = understood([line | {"items": items} for items, _ in texts_and_ids], log)
    read = [found.events.filter(source_line=n)["article_id"].to_list() for n in range(1, len(texts_and_ids) + 1)]
    assert read == [ids for _, ids in texts_and_ids]
    assert set(found.bad["reason"]) == {"article_id: no id where the mapping expects one"} and len(found.bad) == 3


def test_pages_of_no_product_are_left_out_and_broken_ids_are_not() -> None:
    log = mapped("atelier", articles=(Article(column="url", pattern="/p/([0-9]+)"),))
    line = {"time": "2020-09-01T10:00:00Z", "event": "view", "visitor_id": "v"}
    lines = [line | {"url": url} for url in ("https://shop/p/7", "https://shop/", "/sale?x=1", "", "{'id': 'ab'}")]
    found = understood(lines, log.model_copy(update={"leaves_out_without_article": True}))
    assert found.events["article_id"].to_list() == ["7"] and found.counts["without_article_count"] == 3
    assert found.bad["source_line"].to_list() == [5]
    assert understood(lines, log).bad["source_line"].to_list() == [2, 3, 4, 5]


def test_a_place_is_the_last_of_the_day_and_stays_with_its_region() -> None:
    line = {"event": "view", "article_id": "1", "visitor_id": "v"}
    places = [("Lund", None), ("Lund", "Skåne"), ("Kiruna", "Norrbotten"), ("Lund", None), (None, None)]
    said = [
        line | {"time": f"2020-09-01T1{n}:00:00Z", "city": city, "region": region}
        for n, (city, region) in enumerate(places)
    ]
    facts = understood(said, mapped("atelier")).facts.sort("source_line", "name")
    assert facts.select("source_line", "name", "value").rows() == [
        (2, "city", "Lund"), (2, "region", "Skåne"), (3, "city", "Kiruna"), (3, "region", "Norrbotten"),
        (4, "city", "Lund"),
    ]  # fmt: skip
    assert facts["event_time"].max() == datetime(2020, 9, 1, 13, tzinfo=UTC)
