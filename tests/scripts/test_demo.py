"""The demo: its arguments are checked first, and a failure is told in the job's own words."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from scripts import demo
from scripts.airflow_api import AirflowApi


def test_a_day_that_is_no_wednesday_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.parse(["--as-of-date", "2020-09-15"])
    assert "2020-09-15 is a Tuesday; weeks run from Wednesday to Wednesday" in capsys.readouterr().err


def test_a_missing_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.parse(["--data", "/no/such/folder"])
    assert "/no/such/folder is not a folder" in capsys.readouterr().err


def test_params_are_absolute_where_they_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = demo.parse(["--warehouse", "w", "--mapping", "shop.toml", "--encoder", "resnet152"])
    assert demo.params(arguments, Path("hm")) == {
        "data": f"{tmp_path}/hm",
        "warehouse": f"{tmp_path}/w",
        "mapping": f"{tmp_path}/shop.toml",
        "encoder": "resnet152",
    }
    arguments = demo.parse(["--warehouse", "s3://bucket/w"])
    assert demo.params(arguments, Path("hm"))["warehouse"] == "s3://bucket/w"
    assert demo.params(arguments, Path("hm"))["mapping"] == "hm"


def log(path: Path, *events: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_last_words_are_the_jobs_own_error_line(tmp_path: Path) -> None:
    path = log(
        tmp_path / "log",
        {"event": "Running command"},
        {"event": "ERROR ingest.articles: articles.csv: no column article_id"},
        {"event": "Task failed with exception", "error_detail": [{"exc_value": "something about Airflow"}]},
    )
    assert demo.last_words(path) == "articles.csv: no column article_id"


def test_last_words_of_a_job_that_died_are_the_exceptions(tmp_path: Path) -> None:
    path = log(tmp_path / "log", {"event": "failed", "error_detail": [{"exc_value": "exit code 137: Killed"}]})
    assert demo.last_words(path) == "exit code 137: Killed"
    assert demo.last_words(tmp_path / "none") == "it never started"


class FakeApi(AirflowApi):
    """Airflow's API with the runs it already has; remembers what was asked of it."""

    def __init__(self, runs: list[dict[str, Any]]) -> None:
        self.runs, self.calls, self._dag = runs, [], ""

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        self.calls.append((method, path.partition("?")[0].rpartition("dagRuns")[2], body))
        return {"dag_runs": self.runs} if method == "GET" else {"dag_run_id": (body or {}).get("dag_run_id")}


WEEK = {
    "logical_date": "2020-09-09T00:00:00Z",
    "data_interval_start": "2020-09-09T00:00:00Z",
    "data_interval_end": "2020-09-16T00:00:00Z",
}


def test_a_new_week_gets_the_run_that_the_schedule_would_make() -> None:
    api = FakeApi([])
    assert api.trigger(date(2020, 9, 16), {"data": "a"}) == "demo__2020-09-16"
    assert api.calls[1:] == [("POST", "", WEEK | {"dag_run_id": "demo__2020-09-16", "conf": {"data": "a"}})]


def test_the_same_week_with_the_same_params_is_cleared() -> None:
    api = FakeApi([{"dag_run_id": "backfill__1", "conf": {"data": "a"}}])
    assert api.trigger(date(2020, 9, 16), {"data": "a"}) == "backfill__1"
    assert api.calls[1:] == [("POST", "/backfill__1/clear", {"dry_run": False})]


def test_the_same_week_with_other_params_is_replaced() -> None:
    api = FakeApi([{"dag_run_id": "demo__2020-09-16", "conf": {"data": "a"}}])
    api.trigger(date(2020, 9, 16), {"data": "b"})
    assert [call[:2] for call in api.calls[1:]] == [("DELETE", "/demo__2020-09-16"), ("POST", "")]


def test_the_sample_is_told_of_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is written beside it first, and appears as a whole."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nmkdir -p "$5/events" && touch "$5/articles.csv" && echo "$5: 3 articles"\n')
    python.chmod(0o755)
    monkeypatch.setattr(demo, "JOBS_PYTHON", str(python))
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(demo, "SAMPLE", tmp_path / "sample")
    (tmp_path / "sample" / "events").mkdir(parents=True)  # the shop window ran before
    (tmp_path / "sample" / "events" / "a.jsonl").write_text("{}")
    demo.make_sample()
    assert (tmp_path / "sample" / "articles.csv").exists() and (tmp_path / "sample" / "events" / "a.jsonl").exists()
    said = capsys.readouterr().out
    assert "sample: 3 articles" in said and "unfinished" not in said


def test_the_command_that_shows_the_run_fills_in_its_forms(tmp_path: Path) -> None:
    assert demo.make_up(demo.parse([])) == "make up"
    said = demo.make_up(demo.parse(["--data", str(tmp_path), "--warehouse", "s3://a/b c", "--encoder", "resnet50"]))
    assert said == f"make up WAREHOUSE='s3://a/b c' DATA={tmp_path} ENCODER=resnet50"
