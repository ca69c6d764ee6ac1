"""The comparison of ways to train the towers, on the made-up shop."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from benchmarks import two_tower
from benchmarks.two_tower import (
    BOUGHT,
    CANDIDATE,
    DEFAULT,
    POPULAR,
    UNIFORM,
    VARIANTS,
    Quality,
    Study,
    _qualities,
    compare,
    label_week,
    section,
)
from jobs.evaluation.figures import evaluate_week
from jobs.evaluation.protocol import ALL_BUYERS
from tests.jobs.ranking.conftest import AS_OF, ENCODER, make_purchases, make_snapshot

WEEK = timedelta(days=7)
PURCHASES = make_purchases()


def week(start: date) -> two_tower.Week:
    return label_week(make_snapshot(PURCHASES, start), PURCHASES.between(start, start + WEEK), 0)


@pytest.fixture(scope="module")
def study() -> Study:
    starts = [AS_OF - n * WEEK for n in (2, 3, 4)]
    held_out = make_snapshot(PURCHASES, AS_OF - WEEK)
    return Study([week(start) for start in starts], held_out, PURCHASES.between(AS_OF - WEEK, AS_OF), ENCODER)


def test_pairs_are_what_they_are_said_to_be() -> None:
    start = AS_OF - WEEK
    pairs, kind = week(start)
    labels, history = PURCHASES.between(start, AS_OF), PURCHASES.before(start)
    bought = set(zip(labels.customer.tolist(), labels.article.tolist(), strict=True))
    ever = set(zip(history.customer.tolist(), history.article.tolist(), strict=True))

    def of(which: int) -> set[tuple[int, int]]:
        rows = kind == which
        return set(zip(pairs.buyers[pairs.row[rows]].tolist(), pairs.article[rows].tolist(), strict=True))

    assert of(BOUGHT) == {(c, a) for c, a in bought if pairs.snapshot.on_sale[a]}
    assert of(CANDIDATE) and not of(CANDIDATE) & bought
    assert of(UNIFORM) and not of(UNIFORM) & (bought | ever)
    assert np.array_equal(pairs.label == 1, kind == BOUGHT)


def test_recall_is_the_protocols(study: Study) -> None:
    lists = study.popular()[:, :30]
    figures = evaluate_week(
        {"popular": lists}, PURCHASES.before(AS_OF - WEEK), PURCHASES.between(AS_OF - WEEK, AS_OF), AS_OF - WEEK, 0
    )
    expected = next(f.value for f in figures if (f.slice, f.metric, f.k) == (ALL_BUYERS, "recall", 30))
    assert study.recalls(lists)[ALL_BUYERS].mean() == pytest.approx(expected)


def test_variants_train_on_what_they_say(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(two_tower, "fit", lambda network, data, *_: given.append((network, data)) or (network, 1))
    for variant in VARIANTS:
        study.fitted(variant, 1, 0)
    data = {v.name: d for v, (_, d) in zip(VARIANTS, given, strict=True)}
    network = {v.name: n for v, (n, _) in zip(VARIANTS, given, strict=True)}
    default = data[DEFAULT.name].training
    purchases = data["no negatives beside the batch's purchases"]
    assert purchases.training.label.all() and purchases.validation.label.all()
    hard = data["hard negatives too (candidates not bought)"].training
    assert len(hard) > len(default) and hard.label.sum() == default.label.sum() == len(purchases.training)
    recent = next(d for name, d in data.items() if "recency" in name).training
    assert sorted(set(recent.weight.tolist())) == pytest.approx([0.5**0.5, 1])
    assert recent.weight[0] == 1 and (default.weight == 1).all()
    assert network["article ids beside features"].item_tower.ids is not None
    assert [network[n].log_q for n in ("logQ off", "logQ with the wrong sign")] == [0, -1]


def test_differences_are_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of four buyers gain a half: by a quarter on average, whatever their own levels."""
    base = np.array([0.0, 0.5, 1.0, 0.25])
    recalls = {DEFAULT.name: {"all": base}, "other": {"all": base + np.array([0.5, 0.5, 0, 0])}}
    mine, other = _qualities("all", recalls, {DEFAULT.name: 1.0, "other": 2.0}, 0)
    assert (mine.recall, mine.difference, mine.difference_low, mine.seconds) == (0.4375, 0, 0, 1)
    assert (other.recall, other.difference) == (0.6875, 0.25)
    assert 0 <= other.difference_low < 0.25 < other.difference_high <= 0.5


def test_the_table_has_every_variant(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_tower, "VARIANTS", VARIANTS[:2])
    found = compare(study, 1, 1, 0)
    assert {q.name for q in found} == {POPULAR, DEFAULT.name, "logQ off"}
    text = section(found, study, "Facts.", "make it")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 3 and len({row.count("|") for row in rows}) == 1
    assert isinstance(found[0], Quality)
