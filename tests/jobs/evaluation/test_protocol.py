"""The protocol on a label week of four buyers, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from expectations.evaluation import EVALUATION_METRICS
from jobs.evaluation.figures import evaluate_week, figures_of, figures_table
from jobs.evaluation.protocol import Figure, LabelWeek, slices
from jobs.metrics.ranking_metrics import Truth
from jobs.platform.errors import JobError
from jobs.retrieval.purchases import Purchases
from tests.jobs.platform.checked import check
from tests.jobs.retrieval.small import on, purchases

FOLD = 50
# Customer 0 bought yesterday and long ago, 1 only long ago, 2 never, 3 in the last 30 days but nothing in the week.
ROWS = [
    (0, 0, 0), (0, 1, 1), (5, 1, 2), (45, 0, 3), (49, 0, 4), (40, 3, 5),
    (50, 0, 4), (50, 0, 4), (52, 0, 6), (53, 1, 1), (56, 2, 0), (56, 2, 5),
]  # fmt: skip
ALL = purchases(ROWS, customers=5, articles=8)
LATE = purchases([*ROWS, (57, 0, 0)], customers=5, articles=8)
HISTORY, LABELS = ALL.before(on(FOLD)), ALL.between(on(FOLD), on(FOLD + 7))
# One row per buyer 0, 1, 2: hits at place 1; at place 2; at places 1 and 3.
MODEL = np.array([[4, 3, 0], [2, 1, -1], [5, 4, 0]], dtype=np.int32)
OTHER = np.array([[0, 4, -1], [1, 0, 2], [-1, -1, -1]], dtype=np.int32)


def figures(model: np.ndarray = MODEL) -> list[Figure]:
    return evaluate_week({"model": model, "other": OTHER}, HISTORY, LABELS, on(FOLD), seed=1)


def value(metric: str, k: int, group: str = "all", system: str = "model") -> float:
    found = [f for f in figures() if (f.system, f.slice, f.metric, f.k) == (system, group, metric, k)]
    assert len(found) == 1, f"{len(found)} figures"
    return found[0].value


def test_map_at_12_of_all_buyers() -> None:
    # Buyer 0 bought 4 and 6 (6 launched in the week, it still counts): (1/1) / 2. Buyer 1: (1/2) / 1.
    # Buyer 2 bought 0 and 5: (1/1 + 2/3) / 2.
    assert value("map", 12) == pytest.approx((1 / 2 + 1 / 2 + 5 / 6) / 3)
    assert value("map", 12, system="other") == pytest.approx((1 / 4 + 1 + 0) / 3)
    assert value("map_minus_other", 12) == pytest.approx((1 / 4 - 1 / 2 + 5 / 6) / 3)
    assert value("candidate_recall", 0) == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert value("candidates_per_customer", 0) == pytest.approx(8 / 3)
    assert value("buyers", 0) == 3


def test_of_a_handful_of_buyers_no_lead_is_significant() -> None:
    """Buyer 2 alone has no history, and is served better by the model: by chance, for all that is known."""
    found = {(f.slice, f.system, f.metric): f for f in figures() if f.k == 12}
    lead = found["no_history", "model", "map_minus_other"]
    assert lead.value == lead.ci_high == pytest.approx(5 / 6) and lead.ci_low == 0
    own = found["no_history", "model", "map"]
    assert own.ci_low == own.ci_high == pytest.approx(5 / 6), "which is no comparison"


def test_slices_of_buyers_and_of_purchases() -> None:
    assert value("map", 12, "bought_in_last_30_days") == pytest.approx(1 / 2)
    assert value("map", 12, "older_history") == pytest.approx(1 / 2)
    assert value("map", 12, "no_history") == pytest.approx(5 / 6)
    # Repurchases: (0, 4) and (1, 1). First purchases: (0, 6), (2, 0), (2, 5); 4 no longer counts for buyer 0.
    assert value("map", 12, "repurchase") == pytest.approx((1 + 1 / 2) / 2)
    assert value("map", 12, "first_purchase") == pytest.approx((0 + 5 / 6) / 2)
    # First sold on day 43 or later, but before the week: 3 and 4. Only buyer 0 bought one of them.
    assert value("map", 12, "article_on_sale_7_days_or_less") == pytest.approx(1)


def test_borders_of_the_slices() -> None:
    # Customers 0, 1, 2 bought 30, 31 and 90 days before the week; article 0 is 7 days old, 1 is 8, 2 is 30.
    past = [(60, 0, 2), (59, 1, 2), (0, 2, 3), (83, 3, 0), (82, 3, 1)]
    week = [(90, 0, 0), (90, 1, 1), (90, 2, 4), (90, 4, 2)]
    everything = purchases([*past, *week], customers=5, articles=5)
    truth = Truth.of(everything.between(on(90), on(97)))
    found = slices(truth, everything.before(on(90)), on(90))
    members = {name: truth.customers[truth.buyer[pairs]].tolist() for name, pairs in found.items()}
    assert members == {
        "all": [0, 1, 2, 4],
        "bought_in_last_30_days": [0],
        "older_history": [1, 2],
        "no_history": [4],
        "repurchase": [],
        "first_purchase": [0, 1, 2, 4],
        "article_on_sale_7_days_or_less": [0],
    }


def test_figures_of_the_lists() -> None:
    # Articles 0..5 were on sale; the model lists 0 to 5.
    assert value("coverage", 12) == 1
    # Sold in the last 7 days: 3 and 4, filled up with 0, 1, 2, 5 from the past: all six are "popular".
    assert value("popular_overlap", 12) == pytest.approx((3 + 2 + 3) / 12 / 3)
    # Every article was bought by one customer of the three with history.
    assert value("novelty", 12) == pytest.approx(np.log2(3))


def test_a_cut_off_beyond_the_width_is_left_out() -> None:
    assert {f.k for f in figures() if f.metric in ("recall", "precision", "ndcg")} == set()
    wide = np.full((3, 100), -1, dtype=np.int32)
    wide[:, :3] = MODEL
    ks = {(f.metric, f.k) for f in figures(wide) if f.system == "model" and f.slice == "all"}
    assert {("recall", 10), ("recall", 30), ("recall", 100), ("ndcg", 20), ("precision", 10)} <= ks
    assert ("recall", 300) not in ks


def test_rows_keep_their_contract() -> None:
    table = figures_table(figures(), EVALUATION_METRICS, as_of_date=on(57), fold_start=on(FOLD), run_id="r")
    check(EVALUATION_METRICS, table)
    assert set(table["fold"].to_pylist()) == {"2020-09-20"}


def test_a_system_that_picks_what_was_not_on_sale_is_refused() -> None:
    leaking = MODEL.copy()
    leaking[0, 2] = 6  # launches within the week, and buyer 0 buys it
    with pytest.raises(JobError, match=r"model: 1 picks .* such as a06"):
        figures(leaking)


def test_a_repeated_article_is_refused() -> None:
    repeated = MODEL.copy()
    repeated[1] = [1, 1, -1]
    with pytest.raises(JobError, match="1 lists name an article more than once"):
        figures(repeated)


@pytest.mark.parametrize(
    ("history", "labels"),
    [
        pytest.param(ALL, LABELS, id="history-holds-labels"),
        pytest.param(HISTORY, ALL.between(on(49), on(57)), id="labels-too-early"),
        pytest.param(HISTORY, LATE.between(on(50), on(58)), id="labels-too-late"),
    ],
)
def test_a_history_or_labels_across_the_borders_are_refused(history: Purchases, labels: Purchases) -> None:
    with pytest.raises(ValueError, match="borders"):
        evaluate_week({"model": MODEL}, history, labels, on(FOLD), seed=1)


def test_weeks_are_pooled_over_buyer_weeks() -> None:
    # The week after: customer 0 buys 6 and 1, customer 3 buys 5; the model lists 1 first for 0, 5 second for 3.
    later = purchases([*ROWS, (57, 0, 6), (60, 0, 1), (63, 3, 5)], customers=5, articles=8)
    first = LabelWeek(HISTORY, LABELS, on(FOLD))
    first.add("model", MODEL)
    second = LabelWeek(later.before(on(FOLD + 7)), later.between(on(FOLD + 7), on(FOLD + 14)), on(FOLD + 7))
    second.add("model", np.array([[1, 2, -1], [4, 5, -1]], dtype=np.int32))
    found = figures_of([first, second], seed=1)
    assert list(found) == [on(FOLD), on(FOLD + 7), None]
    assert found[on(FOLD)] == evaluate_week({"model": MODEL}, HISTORY, LABELS, on(FOLD), seed=1)
    pooled = {(f.slice, f.metric, f.k): f.value for f in found[None]}
    assert pooled["all", "map", 12] == pytest.approx((1 / 2 + 1 / 2 + 5 / 6 + 1 / 2 + 1 / 2) / 5)
    assert pooled["all", "buyers", 0] == 5 and pooled["no_history", "buyers", 0] == 1
    # Customer 2 alone was new, in the first week.
    assert pooled["no_history", "map", 12] == pytest.approx(5 / 6)
    # 6 of 6 articles on sale, then 4 of 7.
    assert pooled["all", "coverage", 12] == pytest.approx((6 + 4) / (6 + 7))
    assert pooled["all", "candidates_per_customer", 0] == pytest.approx((8 + 4) / 5)
    rows = figures_table(found[None], EVALUATION_METRICS, as_of_date=on(64), fold_start=None, run_id="r")
    check(EVALUATION_METRICS, rows)
    assert set(rows["fold"].to_pylist()) == {"pooled"}


def test_lists_that_come_in_blocks_are_judged_as_one() -> None:
    week = LabelWeek(HISTORY, LABELS, on(FOLD))
    week.add("model", MODEL[:2], slice(0, 2))
    with pytest.raises(ValueError, match="model: 1 buyers of 2020-09-20 have no list"):
        figures_of([week], seed=1)
    week.add("model", MODEL[2:], slice(2, 3))
    assert figures_of([week], seed=1)[on(FOLD)] == evaluate_week({"model": MODEL}, HISTORY, LABELS, on(FOLD), seed=1)
