"""MLflow runs and registered model folders, in a SQLite store of the test's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import mlflow
import pytest

from jobs.platform import tracking
from jobs.platform.checksums import write_checksums
from jobs.platform.code import ROOT
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
    register(settings, tmp_path, "it's there", {})
    assert len(tracking.find_versions("it's there")) == 1


def test_champion_moves(settings: Settings, tmp_path: Path) -> None:
    assert tracking.champion("league") is None
    for n in range(2):
        register(settings, tmp_path, "league", {"n": n})
    assert tracking.champion("league") is None
    for version in ("1", "2", "1"):
        tracking.set_champion("league", version, f"because of {version}")
        winner = tracking.champion("league")
        assert winner is not None and winner.version == version
    assert mlflow.MlflowClient().get_registered_model("league").description == "**Champion: version 1.** because of 1"
    folder = tracking.load_model_folder("league", tracking.CHAMPION, tmp_path / "copy")
    assert json.loads((folder / "inner" / "config.json").read_text()) == {"n": 0}


def test_a_damaged_file_is_found_before_it_is_used(settings: Settings, tmp_path: Path) -> None:
    register(settings, tmp_path, "damaged", {"n": 1})
    (stored,) = (Path(settings.warehouse) / "mlflow").rglob("damaged/inner/config.json")
    stored.write_text(json.dumps({"n": 2}))
    words = "1 of 1 files are damaged or missing, such as inner/config.json; restore"
    with pytest.raises(JobError, match=rf"^damaged version 1: \S*mlflow/artifacts/\S+: {re.escape(words)}"):
        tracking.load_model_folder("damaged", "1", tmp_path / "copy")
    stored.unlink()
    with pytest.raises(JobError, match=r"1 of 1 files are damaged or missing"):
        tracking.load_model_folder("damaged", "1", tmp_path / "copy again")
    # Checksums that fit the damage are not those that were registered.
    stored.write_text(json.dumps({"n": 2}))
    write_checksums(stored.parents[1])
    with pytest.raises(JobError, match=r"damaged version 1: \S+checksums\.json: damaged, or of another model"):
        tracking.load_model_folder("damaged", "1", tmp_path / "third copy")
    (stored.parents[1] / "checksums.json").unlink()
    with pytest.raises(JobError, match=r"checksums\.json is missing, so that no file can be verified"):
        tracking.load_model_folder("damaged", "1", tmp_path / "fourth copy")
    shutil.rmtree(stored.parents[1])
    with pytest.raises(JobError, match=r"^damaged version 1: \S+: checksums\.json is missing"):
        tracking.load_model_folder("damaged", "1", tmp_path / "last copy")


def test_a_versions_digest_is_of_its_files(settings: Settings, tmp_path: Path) -> None:
    for content in ({"n": 1}, {"n": 1}, {"n": 2}):
        register(settings, tmp_path, "alike", content)
    three, two, one = (version.digest for version in tracking.find_versions("alike"))
    assert one == two != three and one is not None


def test_a_run_that_made_nothing_says_why_until_another_makes_something(settings: Settings) -> None:
    def asked(**tags: str) -> str | None:
        return tracking.without_result(settings, "test.nothing", **{"model_name": "it's m", **tags})

    assert asked() is None
    with tracking.start_run(settings, "test.nothing", model_name="it's m"):
        tracking.end_without_result("too few")
        assert asked() is None, "not before it has ended"
    assert asked() == "too few" and asked(model_name="other") is None
    with pytest.raises(ZeroDivisionError), tracking.start_run(settings, "test.nothing", model_name="it's m"):
        _ = 1 / 0
    assert asked() == "too few", "a failed run changes nothing"
    with tracking.start_run(settings, "test.nothing", model_name="it's m"):
        pass
    assert asked() is None


def test_a_section_of_a_card_replaces_itself(settings: Settings, tmp_path: Path) -> None:
    register(settings, tmp_path, "told", {})
    for score in ("0.1", "0.2"):
        tracking.describe_version("told", "1", "Evaluation", score, verdict="promoted")
    version = mlflow.MlflowClient().get_model_version("told", "1")
    assert (version.description, version.tags["verdict"]) == ("# told\n\n## Evaluation\n\n0.2\n", "promoted")


def test_pages_open_on_runs_and_models(settings: Settings) -> None:
    tags = mlflow.get_experiment_by_name(tracking.EXPERIMENT).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    mlflow.set_experiment_tag("mlflow.note.content", "ours")
    tracking.use_tracking(settings)
    assert mlflow.get_experiment_by_name(tracking.EXPERIMENT).tags["mlflow.note.content"] == "ours"


def test_jobs_have_no_telemetry() -> None:
    client = "from mlflow.telemetry.client import get_telemetry_client; print(get_telemetry_client())"
    said = subprocess.run(
        [sys.executable, "-c", f"import jobs.platform.tracking; {client}"],
        env={"PATH": os.environ["PATH"]}, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "None"


@pytest.mark.parametrize("version", ["9", "champion"])
def test_missing_version_is_one_clear_line(settings: Settings, tmp_path: Path, version: str) -> None:
    with pytest.raises(JobError, match=f"nowhere {version}: cannot be loaded from the model registry"):
        tracking.load_model_folder("nowhere", version, tmp_path)


def test_registration_needs_a_run(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside of start_run"):
        tracking.log_model_folder("orphan", tmp_path, settings)


def test_object_store_needs_a_tracking_uri() -> None:
    settings = Settings(as_of_date=date(2020, 9, 16), warehouse="s3://bucket/warehouse")
    with pytest.raises(JobError, match="mlflow-tracking-uri must be given"):
        tracking.use_tracking(settings)
