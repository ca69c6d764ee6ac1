"""The summary of a small run, and the query it suggests."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from expectations.baskets import BOUGHT_TOGETHER
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS
from expectations.features import CUSTOMER_FEATURES
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import QUARANTINE
from jobs.evaluation.figures import figures_of, figures_table
from jobs.evaluation.funnel import MERGED, RANKED, measure
from jobs.evaluation.protocol import LabelWeek
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.publish import summary
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.evaluation.test_protocol import FOLD, HISTORY, LABELS, MODEL, OTHER, ROWS
from tests.jobs.retrieval.small import on

AS_OF = on(FOLD + 7)


def job_of(warehouse: Path, as_of_date: date = AS_OF) -> Job:
    settings = Settings(as_of_date=as_of_date, warehouse=str(warehouse))
    return Job("publish.summary", settings, summary.READS, summary.WRITES)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("warehouse")
    put_purchases(root, ROWS, customers=5, articles=8)
    as_of = {"as_of_date": AS_OF}
    warm = {
        "transaction_count": 1, "distinct_article_count": 1, "days_active": 0, "transaction_count_30d": 0,
        "first_purchase_date": on(FOLD), "last_purchase_date": on(FOLD),
    }  # fmt: skip
    put(root, CUSTOMER_FEATURES, [as_of | {"customer_id": f"c{i}"} | warm for i in (0, 1, 2, 3)])
    picks = [
        as_of | {"customer_id": f"c{i}", "rank": rank, "article_id": f"a{rank:02d}", "model_version": "2",
                 "reason": "Matches what you like"}
        for i in range(5) for rank in range(1, 6)
    ]  # fmt: skip
    earlier = [pick | {"as_of_date": on(FOLD)} for pick in picks]
    put(root, RECOMMENDATIONS, picks + earlier)
    week = LabelWeek(HISTORY, LABELS, on(FOLD))
    lists = {"two_stage": MODEL, "popularity_7d": OTHER, "candidates/own": MODEL, MERGED: MODEL, RANKED: MODEL}
    for system, ranked in lists.items():
        week.add(system, ranked)
    rows = [
        figures_table(figures, EVALUATION_METRICS, as_of_date=AS_OF, fold_start=fold, run_id="r")
        for fold, figures in figures_of([week], 1, measure).items()
    ]
    Warehouse(str(root), {}).publish_arrow(EVALUATION_METRICS, pa.concat_tables(rows), {})
    decision = as_of | {"model_name": "weekly_recommender", "model_version": "2", "is_promoted": True,
                        "reason": "MAP@12 0.6 beats [all]"}  # fmt: skip
    put(root, MODEL_DECISIONS, [decision])
    bad = {"table_name": "transactions", "source_file": "t.csv", "reason": "unknown article"}
    put(root, QUARANTINE, [bad | {"source_line": line} for line in (2, 5)])
    statuses = enumerate(["ok"] * 6 + ["missing", "broken"])
    encoder = {"encoder": "catalogue-v1-abc-8d"}
    pair = as_of | {"level": "article", "rank": 1, "basket_count": 19, "customer_count": 17}
    put(root, BOUGHT_TOGETHER, [pair | {"article_id": "a01", "other_article_id": "a05"}])
    put(root, ARTICLE_EMBEDDINGS, [encoder | {"article_id": f"a{i:02d}", "image_status": s} for i, s in statuses])
    return root


def test_the_summary_says_what_the_tables_hold(warehouse: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary.main(job_of(warehouse)) == f"run of {AS_OF}, tables in {warehouse}"
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert ["gold/recommendations", "25", "50"] in [line[:3] for line in lines]
    assert "a01 Shirt 1  a05 Shirt 5  17 customers bought both" in text
    assert ["silver/transactions", "12"] in [line[:2] for line in lines]
    assert "Label weeks from 2020-09-20: 3 buyers" in text
    assert any(line[:5] == ["week", "from", "2020-09-20", "0.6111", "0.4167"] for line in lines)
    assert any(line[:5] == ["own", "2.6667", "-", "-", "0.8333"] for line in lines)
    assert any(line[-2:] == ["0.6111", "0.8333"] and line[0] == "merged" for line in lines)
    assert any(line[:2] == ["two_stage", "0.6111"] for line in lines)
    assert any(line[:2] == ["no_history", "0.8333"] for line in lines)
    assert "weekly_recommender version 2 was promoted: MAP@12 0.6 beats [all]." in text
    assert "Published: 25 picks for 5 customers, 5 each at most: version 2 100%." in text
    assert ["transactions", "unknown", "article", "2"] in lines
    assert ["catalogue-v1-abc-8d", "broken", "1"] in lines
    examples = [line for line in lines if "Matches" in line]
    assert len(examples) == 10
    assert [line[0] for line in examples] == ["c0"] * 4 + ["c1"] * 3 + ["c4"] * 3
    assert examples[7][:6] == ["c4", "(new)", "1", "a01", "Shirt", "1"]


def test_the_suggested_query_runs(warehouse: Path) -> None:
    code = summary.snippet(job_of(warehouse))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Shirt 1" in result.stdout and "Matches what you like" in result.stdout


def test_a_date_without_recommendations_is_an_error(warehouse: Path) -> None:
    with pytest.raises(JobError, match="nothing published for 2020-10-04; run the DAG"):
        summary.main(job_of(warehouse, on(FOLD + 14)))


def test_baselines_in_place_of_a_champion_are_shown(warehouse: Path, tmp_path: Path) -> None:
    """A week without a model; the champion of the week before was damaged."""
    later, before = on(FOLD + 14), {"as_of_date": AS_OF, "model_name": "m", "model_version": "2", "is_promoted": True}
    put_purchases(tmp_path, ROWS, customers=5, articles=8)
    pick = {"as_of_date": later, "customer_id": "c0", "article_id": "a01", "model_version": "baseline"}
    put(tmp_path, RECOMMENDATIONS, [pick | {"rank": rank} for rank in (1, 2)])
    why = "no model: too little to train on"
    put(tmp_path, MODEL_DECISIONS, [before | {"as_of_date": later, "model_version": "baseline", "is_promoted": False,
                                              "reason": why}])  # fmt: skip
    assert summary.published(job_of(tmp_path, later)) == (
        "Published: 2 picks for 1 customers, 2 each at most: baselines 100%."
    )
    put(tmp_path, MODEL_DECISIONS, [before], {"as_of_date": [AS_OF]})
    assert summary.published(job_of(tmp_path, later)).endswith(
        "[red]The champion, version 2, made none of them[/]: the log of ranking.score says why."
    )
    said, _ = summary.verdict(job_of(tmp_path, later)).renderables  # type: ignore[union-attr]
    assert said == f"m: [yellow]nothing to promote[/]: {why}."
