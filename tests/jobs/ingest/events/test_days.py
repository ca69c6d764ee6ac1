"""A day put together, by hand-made rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.ingest.events import days
from jobs.ingest.events.days import Day, put_together
from jobs.ingest.events.mapping import EventsMapping, load_log_mapping

DAY = date(2020, 9, 1)
MIDNIGHT = datetime(2020, 9, 1, tzinfo=UTC)
LOG = load_log_mapping("atelier").events
NO_SIGN_INS = pl.DataFrame(
    schema={"visitor_id": pl.String, "customer_id": pl.String, "event_time": pl.Datetime("us", "UTC")}
)
_EMPTY = {
    "list": pl.String, "position": pl.Int32, "source": pl.String, "model_version": pl.String, "bucket": pl.Int32,
    "quantity": pl.Int32, "price": pl.Float64, "currency": pl.String,
}  # fmt: skip


def act(minute: float, visitor: str | None = "v", customer: str | None = None, **more: Any) -> dict[str, Any]:
    moment = MIDNIGHT + timedelta(minutes=minute)
    return {
        "event_id": f"{visitor}-{customer}-{minute}", "event_time": moment, "visitor_id": visitor,
        "customer_id": customer, "is_signed_in": customer is not None, "article_id": "a", "event_type": "view",
        "weight": 1.0, "source_file": "f", "source_line": 1, **more,
    }  # fmt: skip


def day_of(acts: list[dict[str, Any]], sign_ins: pl.DataFrame = NO_SIGN_INS, log: EventsMapping = LOG) -> Day:
    frame = pl.DataFrame(acts, schema_overrides={"customer_id": pl.String, "visitor_id": pl.String})
    further = [
        pl.lit(None, dtype).alias(name) for name, dtype in (_EMPTY | {"city": pl.String, "region": pl.String}).items()
    ]
    frame = frame.with_columns(*further, pl.col("event_time").dt.date().alias("event_date"))
    found = put_together(frame, sign_ins, DAY, log, 30)
    return replace(found, events=found.events.sort("event_time", "visitor_id"))


def sessions(found: Day) -> list[str]:
    return [name.partition("@")[0] + name[-13:-7] for name in found.events["session_id"].to_list()]


def test_a_session_ends_with_a_long_gap() -> None:
    """Counting the short gaps instead would tell five events from each other and the two visits not at all."""
    found = day_of([act(m) for m in (0, 10, 40, 70.1, 71)])
    assert sessions(found) == ["v:vT00:00"] * 3 + ["v:vT01:10"] * 2


def test_a_session_goes_on_past_midnight() -> None:
    assert sessions(day_of([act(-20), act(5), act(50)])) == ["v:vT23:40", "v:vT00:50"]


def test_from_the_sign_in_on_a_device_is_its_customers() -> None:
    found = day_of([act(0), act(1, customer="c"), act(2), act(3, "w"), act(4, customer="d"), act(5)])
    assert found.events["customer_id"].to_list() == [None, "c", "c", None, "d", "d"]
    assert found.events["is_signed_in"].to_list() == [False, True, False, False, True, False]
    assert len(set(sessions(found))) == 4  # two customers on one device are not in one session


def test_a_sign_in_of_long_ago_counts_no_more() -> None:
    for ago, customer in ((29, "c"), (31, None)):
        signed = pl.DataFrame(
            [{"visitor_id": "v", "customer_id": "c", "event_time": MIDNIGHT - timedelta(days=ago)}],
            schema=NO_SIGN_INS.schema,
        )
        assert day_of([act(0)], signed).events["customer_id"].to_list() == [customer]


def test_an_event_delivered_twice_counts_once() -> None:
    again = act(1, event_id="x", source_file="g", source_line=9)
    found = day_of([again, act(1, event_id="x"), act(1, event_id="x", article_id="b"), act(2)])
    assert found.events.select("source_file", "article_id").rows() == [("f", "a"), ("f", "b"), ("f", "a")]
    assert found.duplicates == {"g": 1}


def test_a_bot_is_apart_from_then_on_and_people_are_not() -> None:
    log = LOG.model_copy(update={"bot_events": 10, "bot_minutes": 5})
    fast = [act(n / 10, "bot") for n in range(15)] + [act(700, "bot")]
    slow = [act(n, "v") for n in range(15)]
    seen = [act(n / 100, "w", event_type="impression", event_id=f"i{n}") for n in range(50)]
    found = day_of(fast + slow + seen, log=log)
    assert found.events["visitor_id"].value_counts().sort("visitor_id").rows() == [("bot", 10), ("v", 15), ("w", 50)]
    assert found.bots["event_time"].min() == MIDNIGHT + timedelta(minutes=1) and len(found.bots) == 6
    assert found.bots_by_file == {"f": 6}


def test_who_looks_at_long_lists_is_no_bot() -> None:
    log = LOG.model_copy(update={"bot_events": 10})
    pages = [act(n, "v", event_id=f"{n}", article_id=f"a{m}") for n in range(10) for m in range(48)]
    found = day_of(pages, log=log)
    assert len(found.events) == 480
    found = day_of([*pages, act(10, "v", event_id="10")], log=log)
    assert found.bots["event_id"].to_list() == ["10"]


def test_of_two_sign_ins_at_one_moment_one_counts_in_whatever_order_they_come() -> None:
    both = [act(1, customer="c"), act(1, customer="d")]
    for acts in (both, both[::-1]):
        assert day_of([*acts, act(2)]).events["customer_id"].to_list()[2] == "d"


@pytest.mark.parametrize("second", [61, 3_601])
def test_nothing_later_changes_what_was_before(second: int) -> None:
    """Sign-ins, a bot's haste, duplicates, a longer session: to the second."""
    log = LOG.model_copy(update={"bot_events": 10})
    past = [act(n * 10, v) for n in range(7) for v in ("v", "w")] + [act(15, customer="c")]
    cut = MIDNIGHT + timedelta(seconds=second)
    later = second / 60 + 0.02
    future = [act(later, customer="d"), act(later + 1, "w", "e"), act(later + 2, city="Kyiv")]
    future += [act(later + n / 100, "w", event_id=f"bot{n}") for n in range(100)]
    future += [act(later, event_id="v-None-0")]  # an old event's id once more
    known = [a for a in past if a["event_time"] < cut]
    before, after = day_of(known, log=log), day_of(known + future, log=log)
    assert len(after.bots) and after.events.filter(pl.col("event_time") < cut).equals(before.events)


_ACTS = st.builds(
    act,
    st.integers(-60, 60),
    st.sampled_from(["v", "w", "x"]),
    st.sampled_from([None, None, "c", "d"]),
    event_id=st.integers(0, 30).map(str),
)
_OF_A_CUSTOMER_ALONE = st.builds(act, st.integers(-60, 60), st.none(), st.sampled_from(["c", "d"]))
_SIGN_INS = st.lists(
    st.fixed_dictionaries(
        {
            "visitor_id": st.sampled_from(["v", "w", "x"]),
            "customer_id": st.sampled_from(["c", "d"]),
            "event_time": st.integers(2, 40).map(lambda days: MIDNIGHT - timedelta(days=days)),
        }
    ),
    max_size=3,
)


@settings(max_examples=500, deadline=None)
@given(st.lists(_ACTS | _OF_A_CUSTOMER_ALONE, min_size=1, max_size=14), _SIGN_INS)
def test_what_is_left_out_of_the_day_before_changes_nothing(acts: list[dict[str, Any]], signed: list[Any]) -> None:
    """Devices that change hands, customers of two devices, ids that come back, sessions past midnight, bots."""
    log = LOG.model_copy(update={"bot_events": 2})
    before = pl.DataFrame(signed, schema=NO_SIGN_INS.schema).unique("visitor_id")
    acts = [one | {"source_line": line} for line, one in enumerate(acts)]
    found = day_of(acts, before, log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(days, "_connected", lambda rows, *_: rows)
        whole = day_of(acts, before, log)
    order = ["event_time", "source_line"]
    assert found.events.sort(order).equals(whole.events.sort(order))
    assert found.bots.sort(order).equals(whole.bots.sort(order))
    assert (found.duplicates, found.bots_by_file) == (whole.duplicates, whole.bots_by_file)
