"""make catalogue: its arguments are checked first, and what jobs said is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dags.catalogue_intelligence import PARAMS
from scripts import catalogue, demo


def test_params_are_the_forms_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("styles").mkdir()
    given = catalogue.params(catalogue.parse(["--data", "styles", "--warehouse", "w"]))
    assert given == {
        "as_of_date": "2020-09-23",
        "data": f"{tmp_path}/styles",
        "warehouse": f"{tmp_path}/w",
        "mapping": "fashion_product_images",
    }
    assert set(given) <= set(PARAMS)
    words = "make up DATA=styles MAPPING=fashion_product_images"
    assert demo.make_up(catalogue.parse(["--data", "styles"])) == words


def test_a_day_that_is_no_wednesday_and_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, words in (
        (["--data", str(tmp_path), "--as-of-date", "2020-09-22"], "2020-09-22 is a Tuesday"),
        (["--data", "/no/such/folder"], "/no/such/folder is not a folder"),
    ):
        with pytest.raises(SystemExit):
            catalogue.parse(flags)
        assert words in capsys.readouterr().err


def test_what_a_job_said(tmp_path: Path) -> None:
    events = [{"event": "Running command"}, {"event": "embeddings.images: 5 images ok (3 s)"}, {"event": "Done"}]
    (tmp_path / "log").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert catalogue.summary(tmp_path / "log", "embeddings.images") == "5 images ok (3 s)"
    assert catalogue.summary(tmp_path / "log", "similarity.quality") is None


def test_summaries_of_jobs_are_printed_with_their_labels_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def task(name: str, ended: str, label: str | None, said: str, state: str = "success") -> dict[str, Any]:
        (tmp_path / f"{name}.log").write_text(json.dumps({"event": f"{name}: {said}"}))
        own = {"map_index": 0 if label else -1, "rendered_map_index": label, "state": state}
        return {"task_id": name, "end_date": ended, **own}

    class Api:
        def tasks(self, run_id: str) -> list[dict[str, Any]]:
            return [
                task("similar_articles", "3", "minilm", "minilm: 5 picks (1 s)"),
                task("train", "4", None, "never", "failed"),
                task("texts", "2", "tfidf", "5 texts (1 s)"),
                task("articles", "1", None, "5 rows (1 s)"),
            ]

    monkeypatch.setattr(catalogue, "log_of", lambda dag_id, run_id, task: tmp_path / f"{task['task_id']}.log")
    catalogue.tell(Api(), "r")  # type: ignore[arg-type]
    assert capsys.readouterr().out.split("\n")[1::2] == [
        "articles: 5 rows (1 s)", "texts tfidf: 5 texts (1 s)", "similar_articles minilm: 5 picks (1 s)"
    ]  # fmt: skip
