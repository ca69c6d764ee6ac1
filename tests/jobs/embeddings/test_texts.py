"""gold/article_text_embeddings: from the catalogue's words to vectors, in one run and in several."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable

from expectations.embeddings import ARTICLE_TEXT_EMBEDDINGS
from jobs.embeddings import texts
from jobs.embeddings.text_encoders import TextEncoder
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.jobs.embeddings import described

ROWS: list[dict[str, object]] = [
    {"prod_name": "Ida", "product_type_name": "Dress", "colour_group_name": "Red"},
    {"prod_name": "Ida", "product_type_name": "Dress", "colour_group_name": "Red"},
    {"prod_name": "Ole", "product_type_name": "Shoes", "colour_group_name": "Black"},
    {},
]


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One MLflow store for all runs: making one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")
        yield


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that was embedded."""
    seen: list[str] = []
    encode = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, some: seen.extend(some) or encode(self, some))
    return seen


def run(data: Path, day: date = date(2020, 9, 16), **values: object) -> str:
    settings = Settings(as_of_date=day, warehouse=str(data / "warehouse"), **values)
    return texts.main(Job("embeddings.texts", settings, texts.READS, texts.WRITES))


def rows(data: Path) -> list[dict]:
    found = DeltaTable(str(data / "warehouse" / ARTICLE_TEXT_EMBEDDINGS.path)).to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: (row["encoder"], row["article_id"]))


def test_each_text_is_embedded_once_and_again_only_when_it_changes(tmp_path: Path, embedded: list[str]) -> None:
    described.publish(tmp_path, ROWS)
    said = run(tmp_path)
    assert said.startswith("4 articles, 2 different texts, 1 without; encoder minilm-l6-v2-") and "2 newly" in said
    assert sorted(embedded) == ["Ida. Red Dress", "Ole. Black Shoes"]
    first = rows(tmp_path)
    assert [row["text_status"] for row in first] == ["ok", "ok", "ok", "missing"]
    assert first[0]["text_embedding"] == first[1]["text_embedding"] != first[2]["text_embedding"]
    assert first[3]["text_embedding"] is first[3]["text_checksum"] is None
    assert np.linalg.norm(first[2]["text_embedding"]) == pytest.approx(1)

    embedded.clear()
    assert run(tmp_path).endswith("up to date") and not embedded

    described.publish(tmp_path, [ROWS[0], ROWS[2], ROWS[2] | {"colour_group_name": "Red"}, ROWS[3]])
    assert run(tmp_path).endswith("1 newly embedded") and embedded == ["Ole. Red Shoes"]
    second = rows(tmp_path)
    assert second[0] == first[0] and second[1]["text_embedding"] == first[2]["text_embedding"]


def test_a_killed_run_resumes(tmp_path: Path, embedded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    described.publish(tmp_path, [{"prod_name": f"number {'x' * n}"} for n in range(12)])
    with monkeypatch.context() as patch:
        patch.setattr(texts, "CHUNK", 4)
        keep = texts.TextStore.keep

        def killed(self, names, vectors) -> None:  # at its third chunk
            if len(embedded) > 8:
                raise KeyboardInterrupt
            keep(self, names, vectors)

        patch.setattr(texts.TextStore, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    done, left = set(embedded[:8]), embedded[8:]
    embedded.clear()
    assert run(tmp_path).endswith("4 newly embedded")
    assert not done & set(embedded) and set(left) <= set(embedded)
    assert len(rows(tmp_path)) == 12 and all(row["text_embedding"] for row in rows(tmp_path))
    assert not list((tmp_path / "warehouse" / "work" / "text_embeddings").iterdir())


def test_tfidf_of_an_earlier_date_knows_no_later_catalogue(tmp_path: Path) -> None:
    """Its fit is kept from run to run, and not handed back in time."""
    described.publish(tmp_path, [*ROWS, {"prod_name": "Tomorrow", "product_type_name": "Coat"}])
    later = run(tmp_path, date(2020, 9, 23), text_encoder="tfidf", mapping="completejourney")
    described.publish(tmp_path, ROWS)
    earlier = run(tmp_path, text_encoder="tfidf", mapping="completejourney")
    version = [said.split("encoder ")[1].split(",")[0] for said in (later, earlier)]
    assert version[0].startswith("tfidf-v1-") and version[0] != version[1]
    described.publish(tmp_path, [*ROWS, {"prod_name": "Tomorrow", "product_type_name": "Coat"}])
    after = run(tmp_path, date(2020, 9, 30), text_encoder="tfidf", mapping="completejourney")
    assert version[1] in after and "1 newly embedded" in after  # the newest that was known: fitted for 16 September


def test_a_catalogue_without_words_is_one_line(tmp_path: Path) -> None:
    described.publish(tmp_path, [{}, {}])
    with pytest.raises(JobError, match="silver/articles: 2 articles, and none has a text in prod_name, "):
        run(tmp_path)
