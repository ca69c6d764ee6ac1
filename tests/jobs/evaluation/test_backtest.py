"""One week of the backtest: what its fit may know, and what the model is judged on as it ages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import pytorch_lightning as pl

from expectations.evaluation import BACKTEST_BUYERS, BACKTEST_METRICS
from jobs.evaluation import backtest, evaluate
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.retrieval.purchases import Purchases, day_number
from tests.jobs.evaluation.silver import put_purchases
from tests.jobs.evaluation.test_evaluate import AS_OF, ROWS, FakeRecommender
from tests.jobs.ranking import conftest as shop
from tests.jobs.retrieval.small import on


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Silver tables, and a fit that always gives the model whose trees rank 1, 2, 0, 3, 4."""
    put_purchases(tmp_path, ROWS, customers=4, articles=7)
    asked: list[tuple[date, int]] = []

    def fit_as_of(job: Job, purchases: Purchases, encoder: str | None, settings: Settings) -> SimpleNamespace:
        asked.append((settings.as_of_date, settings.training_weeks))
        return SimpleNamespace(rankers={"boosted_trees": None}, chosen="boosted_trees")

    @contextmanager
    def no_run(settings: Settings, name: str) -> Iterator[None]:
        yield

    monkeypatch.setattr(backtest, "start_run", no_run)
    monkeypatch.setattr(backtest.mlflow, "log_params", lambda _: None)
    monkeypatch.setattr(backtest.mlflow, "log_metrics", lambda _, step: None)
    monkeypatch.setattr(backtest, "current_encoder", lambda _: None)
    monkeypatch.setattr(backtest, "SnapshotLoader", lambda *_: SimpleNamespace(at=lambda start: start))
    monkeypatch.setattr(backtest, "fit_as_of", fit_as_of)
    monkeypatch.setattr(Job, "partitions", lambda *_: [{"as_of_date": str(on(day))} for day in range(-31, 60, 7)])
    monkeypatch.setattr(backtest, "asked", asked, raising=False)
    monkeypatch.setattr(evaluate, "Recommender", FakeRecommender)
    monkeypatch.setattr(evaluate, "BLOCK_SIZE", 1)
    monkeypatch.setattr(FakeRecommender, "asked", [])
    return tmp_path


def walked(warehouse: Path, week: int) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """What the job says about a past week, and all rows of its tables."""
    settings = Settings(
        as_of_date=on(AS_OF), warehouse=str(warehouse), run_id="r", training_weeks=3, backtest_week=week
    )
    said = backtest.main(Job("evaluation.backtest", settings, backtest.READS, backtest.WRITES))
    job = Job("test", settings, [BACKTEST_METRICS, BACKTEST_BUYERS], [])
    return said, *(job.read_arrow(table).to_pylist() for table in (BACKTEST_METRICS, BACKTEST_BUYERS))


def test_a_model_is_judged_week_after_week(warehouse: Path) -> None:
    said, metrics, _ = walked(warehouse, 3)
    assert backtest.asked == [(on(39), 3)]  # type: ignore[attr-defined]
    value = {(r["age_weeks"], r["fold"], r["system"], r["slice"], r["metric"], r["k"]): r["value"] for r in metrics}
    assert {row["as_of_date"] for row in metrics} == {on(39)}
    # As in the evaluation of the same shop: hits at 2 and at 3; at 4; at 5, and the new customer's one of two at 1.
    weeks = {0: on(39), 1: on(46), 2: on(53)}
    course = [value[age, str(start), "two_stage", "all", "map", 12] for age, start in weeks.items()]
    assert course == pytest.approx([(1 / 2 + 1 / 3) / 2, 1 / 4, (1 / 5 + 1 / 2) / 2])
    assert {(age, fold) for age, fold, *_ in value} == {(age, str(start)) for age, start in weeks.items()}
    # The candidates taking turns: 0, 3, 1, 4, 2.
    assert value[0, str(on(39)), "candidates/merged", "all", "map", 12] == pytest.approx((1 / 5 + 1) / 2)
    own = value[0, str(on(39)), "two_stage", "all", "map_minus_own_recent_purchases", 12]
    # Customer 0 bought 1, 3, 0 before and 1 bought 4, 2, 1: 0 bought 2 and 1 bought 0, so no hit.
    assert own == pytest.approx(course[0])
    assert said.endswith(", ".join(f"{score:.4f}" for score in course))
    # Candidates and features of a label week are as of its own start.
    assert {start for start, _ in FakeRecommender.asked} == set(weeks.values())


def test_every_buyer_is_kept(warehouse: Path) -> None:
    _, _, buyers = walked(warehouse, 3)
    found = {(r["age_weeks"], r["system"], r["customer_id"]): r["average_precision_at_12"] for r in buyers}
    assert {key: value for key, value in found.items() if key[1] == "two_stage"} == pytest.approx(
        {
            (0, "two_stage", "c0"): 1 / 2,
            (0, "two_stage", "c1"): 1 / 3,
            (1, "two_stage", "c1"): 1 / 4,
            (2, "two_stage", "c0"): 1 / 5,
            (2, "two_stage", "c2"): 1 / 2,
        }
    )
    others = {"popularity_7d", "own_recent_purchases", "own_recent_then_popularity", "rules", "candidates/merged"}
    assert {key[:2] for key in found if key[1] != "two_stage"} == {(0, name) for name in others}
    recall = {(r["age_weeks"], r["system"], r["customer_id"]): r["recall_at_100"] for r in buyers}
    assert recall[0, "candidates/merged", "c0"] == 1 and recall[2, "two_stage", "c2"] == 1 / 2


def test_a_rerun_replaces_its_week_and_no_other(warehouse: Path) -> None:
    walked(warehouse, 3)
    _, _, buyers = walked(warehouse, 1)
    assert {(row["as_of_date"], row["age_weeks"]) for row in buyers} == {
        (on(39), 0), (on(39), 1), (on(39), 2), (on(53), 0),
    }  # fmt: skip
    by_key = itemgetter("as_of_date", "fold", "system", "customer_id")
    assert sorted(walked(warehouse, 3)[2], key=by_key) == sorted(buyers, key=by_key)


def test_no_purchase_since_then_is_an_error(warehouse: Path) -> None:
    put_purchases(warehouse, ROWS[:5], customers=4, articles=7)
    with pytest.raises(JobError, match=f"nothing bought from {on(46)} until {on(60)}"):
        walked(warehouse, 2)


def test_features_of_every_date_are_needed(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the model's own weeks, back to eight before its date, and of the label weeks."""
    for day in (39 - 7 * 8, 53):
        kept = [{"as_of_date": str(on(d))} for d in range(-31, 60, 7) if d != day]
        monkeypatch.setattr(Job, "partitions", lambda *_, kept=kept: kept)
        with pytest.raises(JobError, match=rf"customer_features has nothing as of {on(day)}; run .*-weeks 3 or more"):
            walked(warehouse, 3)


# ---- what the fit may know


def forged_from(purchases: Purchases, start: date) -> Purchases:
    """The same shop, with everything from a day on by other customers and of other articles."""
    later, rng = purchases.day >= day_number(start), np.random.default_rng(1)
    customer = np.where(later, rng.integers(0, shop.CUSTOMERS, len(later)), purchases.customer).astype(np.int32)
    article = np.where(later, rng.integers(0, shop.ARTICLES, len(later)), purchases.article).astype(np.int32)
    order = np.lexsort((article, customer, purchases.day))
    return replace(purchases, day=purchases.day[order], customer=customer[order], article=article[order])


def fitted(purchases: Purchases, start: date, folder: Path) -> dict[str, bytes]:
    """The saved model as of a date, by file, where the tables go on after it."""
    settings = Settings(as_of_date=start, warehouse=str(folder), training_weeks=2, max_epochs=1)
    pl.seed_everything(0, verbose=False)
    model = backtest.fit_as_of(cast(Job, shop.Shop(purchases)), purchases, shop.ENCODER, settings)
    assert not list((folder / "work" / "checkpoints").iterdir())
    model.save(folder / "model")
    return {path.name: path.read_bytes() for path in (folder / "model").iterdir()}


def changed(start: date, forged: date, tmp_path: Path) -> set[str]:
    """Files of the model as of `start` that change with everything from `forged` on."""
    shop_of_truth = forged_from(shop.make_purchases(), date(2100, 1, 1))  # in the order that forging keeps
    one = fitted(shop_of_truth, start, tmp_path / "one")
    other = fitted(forged_from(shop_of_truth, forged), start, tmp_path / "other")
    return {name for name in one if one[name] != other.get(name)} | (other.keys() - one.keys())


@pytest.mark.slow
def test_nothing_from_its_date_on_moves_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.ranking.boosted_trees.MAX_TREES", 5)
    monkeypatch.setattr("jobs.ranking.fit.MAX_TREES", 5)
    start = shop.AS_OF - backtest.WEEK
    assert changed(start, start, tmp_path / "after") == set()
    assert changed(start, start - backtest.WEEK, tmp_path / "before") > set()
