"""The whole evaluation of a small shop, with models whose candidates and orders are given by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from expectations.evaluation import EVALUATION_METRICS, METRICS
from jobs.evaluation import evaluate
from jobs.evaluation.gate import Scores
from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion
from jobs.ranking.model_registry import Champion
from jobs.retrieval.baselines import BASELINES
from tests.jobs.evaluation.silver import put_purchases
from tests.jobs.retrieval.small import on

AS_OF = 60
# Folds start on days 32, 39, 46 and 53. Customers 0 and 1 have history; 2 buys first in the last fold.
ROWS = [
    (0, 0, 0), (0, 1, 1), (1, 1, 2), (2, 0, 3), (2, 1, 4),
    (33, 0, 1), (40, 0, 2), (41, 1, 0), (47, 1, 3), (54, 0, 4), (54, 2, 1), (55, 2, 5),
]  # fmt: skip
# Of the merged candidates the network puts 4 first, the trees 1.
OWN, NEAR = [0, 1, 2], [3, 4, 1]
MERGED, NETWORK, TREES = [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 2, 0, 3, 4]


def rows_of(articles: list[int], customers: Ints) -> Ints:
    return np.tile(np.array(articles, dtype=np.int32), (len(customers), 1))


class FakeRecommender:
    """The same candidates for everybody; remembers what it was asked about."""

    asked: ClassVar[list[tuple[date, list[int]]]] = []

    def __init__(self, model: Any, start: date) -> None:
        self._model, self._start = model, start

    def candidates(self, customers: Ints) -> SimpleNamespace:
        self.asked.append((self._start, customers.tolist()))
        found = {"repurchase": OWN, "popularity": NEAR}
        ranks = {}
        for source, articles in found.items():
            rank = [articles.index(a) + 1.0 if a in articles else np.nan for a in MERGED]
            ranks[source] = np.tile(np.array(rank, dtype=np.float32), (len(customers), 1))
        return SimpleNamespace(
            customers=customers,
            found={source: SimpleNamespace(articles=rows_of(some, customers)) for source, some in found.items()},
            merged=SimpleNamespace(articles=rows_of(MERGED, customers), ranks=ranks),
        )

    def rank_by(self, candidates: Any, count: int, rankers: list[str]) -> list[SimpleNamespace]:
        orders = {"network": NETWORK, "boosted_trees": TREES}
        return [SimpleNamespace(articles=rows_of(orders[name], candidates.customers)[:, :count]) for name in rankers]

    def rank(self, candidates: Any, count: int) -> SimpleNamespace:
        return self.rank_by(candidates, count, [self._model.chosen])[0]


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Silver tables, a challenger (version 7) whose trees were chosen, and a champion (3) with the network."""
    put_purchases(tmp_path, ROWS, customers=4, articles=7)

    def load(folder: Path) -> SimpleNamespace:
        assert folder.name == "evaluated", "the champion's final fit may know the folds"
        chosen = {"7": "boosted_trees", "3": "network"}[folder.parent.name]
        rankers = {"network": None, "boosted_trees": None}
        return SimpleNamespace(inputs=SimpleNamespace(encoder=None), rankers=rankers, chosen=chosen)

    @contextmanager
    def no_run(settings: Settings, name: str, **tags: str) -> Iterator[None]:
        yield

    logged: dict[str, Any] = {}
    monkeypatch.setattr(evaluate, "without_result", lambda settings, job, **tags: logged.get(job))
    monkeypatch.setattr(evaluate, "end_without_result", lambda why: logged.update(without_result=why))
    monkeypatch.setattr(evaluate, "damage", lambda name, version: logged.get("damage"))
    monkeypatch.setattr(evaluate, "start_run", no_run)
    monkeypatch.setattr(evaluate.mlflow, "log_metrics", lambda values, **where: logged.update(values, **where))
    monkeypatch.setattr(evaluate.mlflow, "log_figure", lambda figure, name: logged.update({name: figure}))
    monkeypatch.setattr(evaluate, "load_model_folder", lambda name, version, folder: Path(version))
    monkeypatch.setattr(evaluate, "TwoStageModel", SimpleNamespace(load=load))
    monkeypatch.setattr(evaluate, "SnapshotLoader", lambda *_: SimpleNamespace(at=lambda start: start))
    monkeypatch.setattr(evaluate, "Recommender", FakeRecommender)
    monkeypatch.setattr(evaluate, "version_of_run", lambda settings: ModelVersion("m", "7", "r", {}, "m-7"))
    monkeypatch.setattr(evaluate, "incumbent", lambda job: Champion("3"))
    monkeypatch.setattr(evaluate, "BLOCK_SIZE", 1)
    monkeypatch.setattr(FakeRecommender, "asked", [])
    monkeypatch.setattr(evaluate, "logged", logged, raising=False)
    return tmp_path


def evaluated(warehouse: Path) -> tuple[str, Any]:
    settings = Settings(as_of_date=on(AS_OF), warehouse=str(warehouse), run_id="r")
    said = evaluate.main(
        Job("evaluation.evaluate", settings, evaluate.READS + evaluate.READS_EARLIER_RUNS, evaluate.WRITES)
    )
    return said, Job("test", settings, [EVALUATION_METRICS], []).read_arrow(EVALUATION_METRICS)


def test_every_fold_and_all_of_them(warehouse: Path) -> None:
    said, metrics = evaluated(warehouse)
    value = {(r["fold"], r["system"], r["slice"], r["metric"], r["k"]): r["value"] for r in metrics.to_pylist()}
    folds = [on(day).isoformat() for day in (32, 39, 46, 53)]
    assert {fold for fold, *_ in value} == {*folds, "pooled"}
    # The trees rank 1, 2, 0, 3, 4: hits at 1; at 2 and at 3; at 4; at 5 for customer 0. Customer 2 is new and gets the
    # same list: of {1, 5} only 1 was on sale.
    of_fold = [value[fold, "two_stage", "all", "map", 12] for fold in folds]
    assert of_fold == pytest.approx([1, (1 / 2 + 1 / 3) / 2, 1 / 4, (1 / 5 + 1 / 2) / 2])
    pooled = (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 2) / 6
    assert value["pooled", "two_stage", "all", "map", 12] == pytest.approx(pooled)
    assert value["pooled", "two_stage/boosted_trees", "all", "map", 12] == pytest.approx(pooled)
    # The network ranks 4, 3, 2, 1, 0, and is the champion's choice.
    network = (1 / 4 + 1 / 3 + 1 / 5 + 1 / 2 + 1 + 1 / 4 / 2) / 6
    assert value["pooled", "champion", "all", "map", 12] == pytest.approx(network)
    assert value["pooled", "two_stage", "all", "map_minus_champion", 12] == pytest.approx(pooled - network)
    # The funnel ranks the new customer's candidates, too: 1 first of two purchases.
    assert value["pooled", "candidates/ranked", "no_history", "map", 12] == pytest.approx(1 / 2)
    assert value["pooled", "candidates/repurchase", "all", "unique_recall", 0] == pytest.approx((1 + 1) / 6)
    assert value["pooled", "candidates/merged", "all", "map_ceiling", 12] == pytest.approx((5 + 1 / 2) / 6)
    versions = {(r["system"], r["model_version"]) for r in metrics.to_pylist() if "/" not in r["system"]}
    assert versions == {("two_stage", "7"), ("champion", "3"), *((name, "baseline") for name in BASELINES)}
    assert {r["model_version"] for r in metrics.to_pylist() if "/" in r["system"]} == {"7"}
    assert {re.sub("^map_minus_.*", "map_minus_<system>", metric) for _, _, _, metric, _ in value} == set(METRICS)
    weeks = {(r["fold"], r["week_start_date"]) for r in metrics.to_pylist()}
    assert weeks == {*((day, date.fromisoformat(day)) for day in folds), ("pooled", None)}
    assert said.startswith(f"MAP@12 of 6 buyers in 4 weeks from {folds[0]}: two_stage {pooled:.4f} (")
    assert "candidates: 5 a buyer hold 0.917 of the purchases" in said
    # Every buyer was asked about as of the fold's own start, by both models.
    asked = [(start, customers) for start, customers in FakeRecommender.asked if start == on(53)]
    assert asked == [(on(53), [0]), (on(53), [2])] * 2


def test_the_gate_can_read_it_and_mlflow_has_it(warehouse: Path) -> None:
    _, metrics = evaluated(warehouse)
    scores = Scores.of(metrics)
    assert scores.folds == 4 and scores.versions == {"two_stage": "7", "champion": "3"}
    assert scores.beyond("own_recent_then_popularity").low <= scores.beyond("own_recent_then_popularity").value
    logged = evaluate.logged  # type: ignore[attr-defined]
    assert logged["test/map_at_12"] == logged["test/boosted_trees/map_at_12"] == scores.figure("two_stage", "map")
    assert {"baseline/popularity_7d/map_at_12", "candidates/merged/candidate_recall", "champion/coverage_at_12"} <= set(
        logged
    )
    assert logged["model_id"] == "m-7", "the figures are on the model's own page"
    assert logged["funnel.png"].get_suptitle() == f"weekly_recommender version 7, 4 weeks from {on(32)}"


def test_a_week_without_purchases_is_no_fold(warehouse: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_purchases(warehouse, [row for row in ROWS if not 39 <= row[0] < 46], customers=4, articles=7)
    assert Scores.of(evaluated(warehouse)[1]).folds == 3
    assert f"nothing was bought from {on(39)} to {on(46)}: no fold" in capsys.readouterr().out
    put_purchases(warehouse, ROWS[:5], customers=4, articles=7)
    said, metrics = evaluated(warehouse)
    assert said == evaluate.logged["without_result"] == f"nothing was bought in the 4 weeks before {on(AS_OF)}"  # type: ignore[attr-defined]
    assert metrics.num_rows == 0, "no figures of an earlier run either"


@pytest.mark.parametrize("which", ["ranking.train", "damage"])
def test_without_a_model_to_judge_the_baselines_are_judged(warehouse: Path, which: str) -> None:
    evaluated(warehouse)
    evaluate.logged[which] = "no model today"  # type: ignore[attr-defined]
    said, metrics = evaluated(warehouse)
    assert said.startswith(f"no model today; MAP@12 of 6 buyers in 4 weeks from {on(32)}: popularity_7d ")
    assert set(metrics["system"].unique().to_pylist()) == set(BASELINES)
    assert set(metrics["model_version"].unique().to_pylist()) == {"baseline"}
    assert evaluate.logged["without_result"] == "no model today"  # type: ignore[attr-defined]


def test_candidates_that_launch_later_stop_the_run(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "NETWORK", [5, 4, 3, 2, 1])  # 5 is first sold in the last fold
    with pytest.raises(JobError, match=r"two_stage/network: 1 picks .* such as a05; the system has seen the future"):
        evaluated(warehouse)
