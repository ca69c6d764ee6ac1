"""What is hidden under each reading, and hit rates, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from expectations.evaluation import NEXT_PURCHASE_METRICS
from jobs.evaluation import next_purchase
from jobs.evaluation.next_purchase import HIT_RATE, KS, READINGS, hits, sample
from jobs.metrics.ranking_metrics import Truth
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.recommenders.events import events_of
from jobs.retrieval.baselines import BASELINES
from jobs.retrieval.purchases import Purchases, day_number
from tests.jobs.evaluation import popular
from tests.jobs.evaluation.silver import put_purchases
from tests.jobs.retrieval.small import on, purchases

#: 0 buys two units each time, 1 once, 2 two units of one article, 3 two articles on the last day.
BOUGHT = [(0, 0, 0), (0, 0, 0), (3, 0, 1), (3, 0, 1), (1, 1, 2), (1, 2, 2), (1, 2, 2), (2, 3, 3), (5, 3, 1), (5, 3, 4)]
ALL = purchases(BOUGHT, customers=5, articles=6)


def rows(some: Purchases) -> list[tuple[int, int, int]]:
    days = (some.day - day_number(on(0))).tolist()
    return sorted(zip(days, some.customer.tolist(), some.article.tolist(), strict=True))


def test_every_unit_hides_one_unit() -> None:
    history, labels = READINGS["every_unit"](ALL)
    last = int(events_of(ALL, "every_unit").article[-1])  # of customer 3, whose order within the day is a hash
    assert rows(labels) == [(1, 2, 2), (3, 0, 1), (5, 3, last)]
    assert rows(history) == [(0, 0, 0), (0, 0, 0), (1, 1, 2), (1, 2, 2), (2, 3, 3), (3, 0, 1), (5, 3, 5 - last)]


def test_merged_lines_hides_all_units_of_a_line() -> None:
    history, labels = READINGS["merged_lines"](ALL)
    last = int(events_of(ALL, "merged_lines").article[-1])
    assert rows(labels) == [(3, 0, 1), (5, 3, last)], "customer 2 bought one thing once"
    assert rows(history) == [(0, 0, 0), (1, 1, 2), (1, 2, 2), (2, 3, 3), (5, 3, 5 - last)]


def test_last_day_hides_the_whole_day() -> None:
    history, labels = READINGS["last_day"](ALL)
    assert rows(labels) == [(3, 0, 1), (3, 0, 1), (5, 3, 1), (5, 3, 4)]
    assert rows(history) == [(0, 0, 0), (0, 0, 0), (1, 1, 2), (1, 2, 2), (1, 2, 2), (2, 3, 3)]


@pytest.mark.parametrize("reading", READINGS)
def test_history_stays_in_order(reading: str) -> None:
    rng = np.random.default_rng(3)
    many = purchases([tuple(map(int, row)) for row in rng.integers(0, (40, 9, 7), (300, 3))], 9, 7)
    history, labels = READINGS[reading](many)
    for some in (history, labels):
        assert rows(some) == list(zip(*(of.tolist() for of in _columns(some)), strict=True))
    if reading == "every_unit":
        assert sorted(rows(history) + rows(labels)) == rows(many)


def _columns(some: Purchases) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return some.day - day_number(on(0)), some.customer, some.article


def test_hits_by_hand() -> None:
    """Hidden 1; 2 and 3; 4: found first; at 7 and 2, the better of which counts; not at all."""
    truth = Truth(np.array([4, 6, 9]), np.array([0, 1, 1, 2]), np.array([1, 2, 3, 4]))
    ranked = np.full((3, 100), NO_ARTICLE, dtype=np.int32)
    ranked[0, 0], ranked[1, [6, 1]], ranked[2, 0] = 1, [2, 3], 7
    assert KS == (1, 5, 10, 50, 100)
    assert hits(ranked, truth).tolist() == [[1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    ranked[2, 99] = 4
    assert hits(ranked, truth)[2].tolist() == [0, 0, 0, 0, 1]


def test_a_sample_keeps_all_that_is_hidden_of_its_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = purchases([(9, c, a) for c in range(20) for a in (1, 2)], customers=20, articles=3)
    assert len(sample(labels, 0).customers) == 20
    monkeypatch.setattr(next_purchase, "MOST_CUSTOMERS", 6)
    some = sample(labels, 0)
    assert len(some.customers) == 6 and some.sizes.tolist() == [2] * 6
    assert sample(labels, 0).customers.tolist() == some.customers.tolist()
    assert sample(labels, 1).customers.tolist() != some.customers.tolist()


def run(warehouse: Path, system: str = "als", run_id: str = "r") -> tuple[str, list[dict]]:
    settings = Settings(as_of_date=on(7), warehouse=str(warehouse), run_id=run_id, system=system)
    reads = next_purchase.READS + next_purchase.READS_EARLIER_RUNS
    job = Job("evaluation.next_purchase", settings, reads, next_purchase.WRITES)
    said = next_purchase.main(job)
    return said, Job("test", settings, [NEXT_PURCHASE_METRICS], []).read_arrow(NEXT_PURCHASE_METRICS).to_pylist()


def test_the_whole_track(warehouse: Path) -> None:
    put_purchases(warehouse, [*BOUGHT, (7, 4, 5), (8, 0, 5)], customers=5, articles=6)
    said, found = run(warehouse)
    value = {(r["system"], r["slice"], r["metric"], r["k"]): r["value"] for r in found}
    # Units known as of day 7 with merged lines: 2 twice, 0, 3 and one of 1 and 4. So 1 or 4 is fourth, or unknown.
    last = int(events_of(ALL, "merged_lines").article[-1])
    ranked = [2, 0, 5 - last, 3] if last == 4 else [2, 0, 3, 4]
    hit = [(article in ranked) / 2 for article in (1, last)]
    assert value["als", "merged_lines", HIT_RATE, 5] == pytest.approx(sum(hit))
    assert value["als", "merged_lines", HIT_RATE, 1] == 0
    # Customer 2 bought the hidden unit's article before, 0 and 3 did not; the best seller is 0 or 2, of two units.
    assert value["own_recent_purchases", "every_unit", HIT_RATE, 1] == pytest.approx(2 / 3)
    assert value["own_recent_purchases", "last_day", HIT_RATE, 100] == 0
    counts = [value["als", reading, "customers", 0] for reading in READINGS]
    assert counts == [3, 2, 2]
    assert {system for system, *_ in value} == {"als", *BASELINES}
    assert {r["fold"] for r in found} == {"pooled"} and "every_unit" in said
    # The fits know the later events of others, and nothing of the as-of date.
    fits = [s for s in popular.SHOWN if s.what == "fit"]
    assert len(fits) == 3 and max(s.last_day for s in fits) <= day_number(on(6))


def test_a_rerun_replaces_its_rows_alone(warehouse: Path) -> None:
    put_purchases(warehouse, BOUGHT, customers=5, articles=6)
    for system, run_id in (("als", "first"), ("bpr", "second"), ("als", "third")):
        _, found = run(warehouse, system, run_id)
    runs = {(row["system"], row["run_id"]) for row in found if row["system"] not in BASELINES}
    assert runs == {("als", "third"), ("bpr", "second")}


def test_a_shop_where_nobody_came_back_is_one_line(warehouse: Path) -> None:
    put_purchases(warehouse, [(0, 0, 1), (1, 1, 2)], customers=5, articles=6)
    with pytest.raises(JobError, match="no customer bought twice"):
        run(warehouse)


def test_a_system_that_reads_feature_tables_is_not_judged(warehouse: Path) -> None:
    """They count the purchases that are to be hidden."""
    settings = Settings(as_of_date=on(7), warehouse=str(warehouse), system="two_stage")
    job = Job("evaluation.next_purchase", settings, next_purchase.READS, next_purchase.WRITES)
    assert next_purchase.main(job).startswith("two_stage is not judged: it reads tables that know of the purchases")
    assert not job.published
