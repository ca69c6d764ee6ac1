"""MLflow runs and registered model folders, in a SQLite store of the test's own."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import mlflow
import pytest

from jobs.platform import tracking
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    warehouse = tmp_path_factory.mktemp("a warehouse")  # a blank in the path must not matter
    settings = Settings(as_of_date=date(2020, 9, 16), run_id="test-run", warehouse=str(warehouse))
    tracking.use_tracking(settings)
    return settings


def register(settings: Settings, tmp_path: Path, name: str, content: dict[str, int], **tags: str) -> str:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True, exist_ok=True)
    (folder / "inner" / "config.json").write_text(json.dumps(content))
    with tracking.start_run(settings, "ranking.train"):
        return tracking.log_model_folder(name, folder, settings, tags)


def test_store_and_artifacts_lie_under_the_warehouse(settings: Settings, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tracking.start_run(settings, "ranking.train") as run:
        mlflow.log_text("hello", "note.txt")
    root = Path(settings.warehouse) / "mlflow"
    assert (root / "mlflow.db").is_file()
    assert [p.parent.parent.name for p in root.rglob("note.txt")] == [run.info.run_id]
    assert list(tmp_path.iterdir()) == []  # no mlruns/ in the working directory


def test_run_is_tagged(settings: Settings) -> None:
    with tracking.start_run(settings, "ranking.train") as run:
        pass
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert (tags["run_id"], tags["as_of_date"], tags["job"]) == ("test-run", "2020-09-16", "ranking.train")


def test_folder_comes_back_file_by_file(settings: Settings, tmp_path: Path) -> None:
    first = register(settings, tmp_path, "round_trip", {"n": 1})
    second = register(settings, tmp_path, "round_trip", {"n": 2})
    assert (first, second) == ("1", "2")
    for version, n in ((first, 1), (second, 2)):
        folder = tracking.load_model_folder("round_trip", version, tmp_path / f"copy{version}")
        assert json.loads((folder / "inner" / "config.json").read_text()) == {"n": n}


def test_versions_are_found_by_tag_newest_first(settings: Settings, tmp_path: Path) -> None:
    assert tracking.find_versions("tagged") == []
    for colour in ("red", "blue", "red"):
        register(settings, tmp_path, "tagged", {}, colour=colour)
    assert [v.version for v in tracking.find_versions("tagged")] == ["3", "2", "1"]
    assert [v.version for v in tracking.find_versions("tagged", colour="red")] == ["3", "1"]
    assert tracking.find_versions("tagged", colour="red", as_of_date="2020-09-09") == []
    assert tracking.find_versions("tagged")[0].tags["run_id"] == "test-run"
    assert tracking.find_versions("it's not there") == []


def test_champion_moves(settings: Settings, tmp_path: Path) -> None:
    assert tracking.champion("league") is None
    for n in range(2):
        register(settings, tmp_path, "league", {"n": n})
    assert tracking.champion("league") is None
    for version in ("1", "2", "1"):
        tracking.set_champion("league", version)
        winner = tracking.champion("league")
        assert winner is not None and winner.version == version
    folder = tracking.load_model_folder("league", tracking.CHAMPION, tmp_path / "copy")
    assert json.loads((folder / "inner" / "config.json").read_text()) == {"n": 0}


@pytest.mark.parametrize("version", ["9", "champion"])
def test_missing_version_is_one_clear_line(settings: Settings, tmp_path: Path, version: str) -> None:
    with pytest.raises(JobError, match=f"nowhere {version}: cannot be loaded from the model registry"):
        tracking.load_model_folder("nowhere", version, tmp_path)


def test_registration_needs_a_run(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside start_run"):
        tracking.log_model_folder("orphan", tmp_path, settings)


def test_object_store_needs_a_tracking_uri() -> None:
    settings = Settings(as_of_date=date(2020, 9, 16), warehouse="s3://bucket/warehouse")
    with pytest.raises(JobError, match="mlflow-tracking-uri must be given"):
        tracking.use_tracking(settings)
