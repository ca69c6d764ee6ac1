"""What the shop logs: the mapping's shape, who did it, where it was shown; and that the real ingest takes it in."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from expectations.events import EVENTS
from jobs.ingest import shop_events
from jobs.ingest.events.mapping import load_log_mapping
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.publish.recommendations import bucket as published_bucket
from tests.app.conftest import ARTICLE_IDS, CUSTOMER_IDS
from tests.app.people import PASSWORD, account, events, events_of, log_in, sign_up, visitor


def test_a_line_has_every_field_of_the_mapping(shop: Path, landing: Path) -> None:
    browser = visitor()
    browser.get(f"/article/{ARTICLE_IDS[0]}/")
    mapping = load_log_mapping("atelier").events
    for event in events_of(landing, browser):
        assert event.keys() >= set(mapping.source_columns)
        assert {"source", "model_version", "bucket"} <= event.keys()
        assert datetime.fromisoformat(event["time"]).tzinfo is not None


def test_buckets_are_those_of_the_published_picks(shop: Path) -> None:
    from app.events.buckets import bucket

    for who in (*CUSTOMER_IDS, "", "ä", "0" * 64):
        assert bucket(who) == published_bucket(who)


def test_an_event_says_who_where_and_in_which_bucket(shop: Path, landing: Path) -> None:
    browser = visitor()
    browser.get("/")
    anonymous = events_of(landing, browser)
    assert {event["customer_id"] for event in anonymous} == {None}
    assert [event["position"] for event in anonymous] == list(range(len(anonymous)))
    assert len({event["event_id"] for event in anonymous}) == len(anonymous)
    _, address = sign_up(shop, browser)
    user = account(address)
    browser.get("/for-you/")
    mine = [event for event in events_of(landing, browser) if event["customer_id"]]
    assert {event["customer_id"] for event in mine} == {user.customer_id}
    assert {event["visitor_id"] for event in mine} == {anonymous[0]["visitor_id"]}
    assert {event["bucket"] for event in mine} == {published_bucket(user.customer_id)}


def test_a_click_is_believed_of_the_link_that_was_shown(shop: Path, landing: Path) -> None:
    browser = visitor()
    page = browser.get("/").content.decode()
    link = page.split(f'href="/article/{ARTICLE_IDS[1]}/?c=')[1].split('"')[0].replace("&amp;", "&")
    for path in (
        f"/article/{ARTICLE_IDS[1]}/?c={link}",  # the link itself
        f"/article/{ARTICLE_IDS[2]}/?c={link}",  # for another article
        f"/article/{ARTICLE_IDS[1]}/?c={link[:-4]}AAAA",  # made up
        f"/article/{ARTICLE_IDS[1]}/?c={'A' * 3000}",
        f"/article/{ARTICLE_IDS[1]}/",
    ):
        assert browser.get(path).status_code == 200
    found = events_of(landing, browser)
    clicks = [event for event in found if event["event"] == "click"]
    assert [(event["article_id"], event["list"]) for event in clicks] == [(ARTICLE_IDS[1], "category")]
    assert clicks[0]["position"] == next(
        event["position"] for event in found if event["event"] == "impression" and event["article_id"] == ARTICLE_IDS[1]
    )
    assert len([event for event in found if event["event"] == "view"]) == 5


def test_what_nobody_saw_is_no_event(shop: Path, landing: Path) -> None:
    browser = visitor()
    browser.get("/")
    before = len(events_of(landing, browser))
    browser.head("/")
    browser.get("/", headers={"Sec-Purpose": "prefetch;prerender"})
    assert len(events_of(landing, browser)) == before


def test_a_made_up_visitor_is_a_new_one(shop: Path, landing: Path) -> None:
    browser = visitor()
    browser.cookies["visitor"] = "0" * 32 + ":1:forged"
    browser.get("/")
    assert browser.cookies["visitor"].value.partition(":")[0] != "0" * 32
    assert not [event for event in events(landing) if event["visitor_id"] == "0" * 32]
    quiet = visitor()
    quiet.get("/basket/")
    quiet.get("/health")
    assert "visitor" not in quiet.cookies


def test_the_shop_may_live_in_a_past_week(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings

    from app.events.record import now

    monkeypatch.setattr(settings, "SHOP_WEEK", date(2020, 9, 23))
    there, here = now(), datetime.now(UTC)
    assert datetime(2020, 9, 23, tzinfo=UTC) <= there < datetime(2020, 9, 30, tzinfo=UTC)
    assert there.weekday() == here.weekday()
    assert abs((there - here) % timedelta(days=7)) < timedelta(seconds=5) or abs(
        (here - there) % timedelta(days=7)
    ) < timedelta(seconds=5)


def test_lists_by_bucket(shop: Path, landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    from app.accounts.models import User
    from app.events.buckets import PUBLISHED, list_of, parse_lists

    lists = parse_lists("als:80-89, gru:90-99")
    assert len(lists) == 20 and lists[80] == "als" and lists[99] == "gru"
    for wrong in ("als", "als:9-1", "als:0-100", "als:0-10,gru:10-20", "../x:0-1"):
        with pytest.raises(ImproperlyConfigured, match="ATELIER_SHOP_LISTS"):
            parse_lists(wrong)
    _, address = sign_up(shop)
    User.objects.filter(email=address).update(customer_id=CUSTOMER_IDS[1])
    browser = visitor()
    log_in(browser, address)
    browser.get("/for-you/")
    monkeypatch.setattr(settings, "SHOP_LISTS", dict.fromkeys(range(100), "als"))
    assert list_of(0) == "als" and PUBLISHED == "recommendations"
    browser.get("/for-you/")
    shown = [event for event in events_of(landing, browser) if event["customer_id"] and event["event"] == "impression"]
    assert list(dict.fromkeys(event["list"] for event in shown)) == ["recommendations", "als"]
    assert {event["bucket"] for event in shown} == {published_bucket(CUSTOMER_IDS[1])}
    User.objects.filter(email=address).delete()


def test_the_ingest_takes_them_in(shop: Path, retailer: Path, landing: Path, spark: SparkSession) -> None:
    """From the page to silver/events: each once, with who did it; what came before the login is not theirs.

    A deleted account is gone from there, too, once the files that changed are taken in.
    """
    from app.events import housekeeping

    browser = visitor()
    browser.get(f"/article/{ARTICLE_IDS[3]}/")
    _, address = sign_up(shop, browser, birth_date="1975-02-28")
    customer_id = account(address).customer_id
    browser.get("/for-you/")
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[3], "quantity": 2})
    browser.post("/wishes/add/", {"article_id": ARTICLE_IDS[4]})
    seen = browser.get("/checkout/").content.decode().split('name="seen" value="')[1].split('"')[0]
    browser.post("/checkout/", {"seen": seen})
    logged = events(landing)
    rows = take_in(retailer)
    assert sorted(rows["event_id"]) == sorted(event["event_id"] for event in logged)
    visitor_id = browser.cookies["visitor"].value.partition(":")[0]
    mine = rows.filter(pl.col("visitor_id") == visitor_id).sort("event_time")
    counts = dict(mine["event_type"].value_counts().iter_rows())
    assert counts.pop("impression") > 0
    assert counts == {"view": 1, "cart": 1, "wishlist": 1, "purchase": 1}
    bought = mine.filter(pl.col("event_type") == "purchase").row(0, named=True)
    assert (bought["customer_id"], bought["article_id"], bought["quantity"]) == (customer_id, ARTICLE_IDS[3], 2)
    assert bought["price"] > 0 and bought["currency"] == "EUR" and bought["is_signed_in"]
    assert mine.filter(pl.col("event_type") == "view")["customer_id"].to_list() == [None]
    browser.post("/account/delete/", {"password": PASSWORD})
    housekeeping.keep_house()
    after = take_in(retailer)
    assert len(after) == len(events(landing)) >= len(rows)
    assert not after.filter((pl.col("customer_id") == customer_id) | (pl.col("visitor_id") == visitor_id)).height


def take_in(retailer: Path) -> pl.DataFrame:
    """A run of the real ingest; silver/events afterwards."""
    warehouse = retailer / "events_warehouse"
    settings = Settings(as_of_date=date(2020, 9, 23), data=retailer / "data", warehouse=str(warehouse))
    said = shop_events.main(Job("ingest.shop_events", settings, shop_events.READS, shop_events.WRITES))
    assert "0 in quarantine" in said
    return pl.DataFrame(pl.from_arrow(DeltaTable(str(warehouse / EVENTS.path)).to_pyarrow_table()))


def test_health_says_what_is_wrong(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.events.writer import writer

    well = visitor().get("/health")
    assert well.status_code == 200
    assert well.json() == {"status": "ok", "database": "ok", "events": "ok", "tables": "ok"}
    monkeypatch.setattr(writer(), "error", "OSError: No space left on device")
    ill = visitor().get("/health")
    assert ill.status_code == 503 and ill.json()["events"] == "cannot be written"
    assert str(shop) not in ill.content.decode()


def test_metrics_are_for_this_machine_only(shop: Path) -> None:
    from django.test import Client

    here = Client(REMOTE_ADDR="127.0.0.1")
    text = here.get("/metrics").content.decode()
    assert 'shop_request_seconds_count{method="GET",status="200",view="catalog:home"}' in text
    assert "example.org" not in text
    assert Client(REMOTE_ADDR="::1").get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="10.0.0.1").get("/metrics").status_code == 404
    assert Client(REMOTE_ADDR="").get("/metrics").status_code == 404
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert here.get("/metrics", headers={header: "10.0.0.1"}).status_code == 404


def test_the_log_is_json_without_what_was_typed(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    from app.events.logs import JsonLines

    caplog.set_level(logging.INFO)
    browser = visitor()
    browser.get("/search/?q=my+secret+wish")
    browser.get("/account/confirm/a-secret-token/")
    log_in(browser, "person@example.org", "wrong-words-entirely")
    lines = [JsonLines().format(record) for record in caplog.records]
    facts = [json.loads(line) for line in lines]
    assert [fact["view"] for fact in facts if fact["message"] == "request"] == [
        "catalog:search", "accounts:confirm", "accounts:login",
    ]  # fmt: skip
    text = "\n".join(lines)
    assert not [word for word in ("secret", "wish", "person@", "wrong-words") if word in text]
    record = logging.LogRecord("x", logging.INFO, "", 0, 'a\n{"level": "forged"}', None, None)
    assert "\n" not in JsonLines().format(record)
