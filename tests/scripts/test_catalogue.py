"""make catalogue: its arguments are checked first, and what jobs said is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dags.catalogue_intelligence import PARAMS
from scripts import catalogue


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
