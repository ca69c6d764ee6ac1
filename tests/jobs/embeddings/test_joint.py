"""The joint space from tables to registered heads, on a catalogue whose pictures show colour and type."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
import torch

from jobs.embeddings import joint, texts
from jobs.embeddings.encoders import tensors_checksum
from jobs.embeddings.joint_pairs import Split
from jobs.embeddings.joint_retrieval import measured, ranks
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.tracking import find_versions
from tests.jobs.embeddings import described

COUNT, FEW = 400, 30


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One MLflow store for all runs: making one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")
        yield


def settings(data: Path, day: date = date(2020, 9, 16), **values: object) -> Settings:
    return Settings(as_of_date=day, warehouse=str(data / "warehouse"), encoder="catalogue", **values)


def run(data: Path, day: date = date(2020, 9, 16), **values: object) -> str:
    return joint.main(Job("embeddings.joint", settings(data, day, **values), joint.READS, joint.WRITES))


def words(data: Path) -> None:
    texts.main(Job("embeddings.texts", settings(data), texts.READS, texts.WRITES))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A catalogue with registered heads, and what the job said."""
    data = tmp_path_factory.mktemp("joint")
    rows, features = described.catalogue(COUNT)
    described.publish(data, rows)
    described.publish_pictures(data, features, range(COUNT), missing=[1])
    words(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint, "EPOCHS", 12)
        return data, run(data)


def figures() -> dict[str, float]:
    version = find_versions(joint.NAME)[-1]
    return mlflow.get_run(version.mlflow_run_id).data.metrics


def test_unseen_products_are_found_and_untrained_heads_find_them_by_chance(trained: tuple[Path, str]) -> None:
    _, said = trained
    assert said.startswith(f"version 1 of joint_encoder, {COUNT - 1} pairs; recall@1 / @10 among ")
    found = figures()
    count = int(mlflow.get_run(find_versions(joint.NAME)[-1].mlflow_run_id).data.params["held_out"])
    assert 25 < count < 60
    for way in ("text_to_image", "image_to_text", "name_to_image"):
        assert found[f"test/{way}/recall_at_10"] > 0.8 and found[f"test/{way}/mrr"] > 0.3
        # By chance 10 / n, and within three standard errors.
        chance = 10 / count
        assert abs(found[f"untrained/{way}/recall_at_10"] - chance) < 3 * np.sqrt(chance * (1 - chance) / count)
    assert found["test/name_to_text/mrr"] > 0.9  # without pictures: the name is part of the text


def test_the_same_pairs_are_not_trained_on_again(trained: tuple[Path, str]) -> None:
    data, _ = trained
    assert run(data) == f"{COUNT - 1} pairs, heads trained on {COUNT - 1}: up to date"
    assert len(find_versions(joint.NAME)) == 1


def test_heads_of_a_later_date_are_not_of_use(trained: tuple[Path, str]) -> None:
    data, _ = trained
    assert joint.fitted_heads(settings(data)) is not None
    assert joint.fitted_heads(settings(data, date(2020, 9, 23))) is not None
    earlier = settings(data, date(2020, 9, 9))
    assert joint.fitted_heads(earlier) is None
    with pytest.raises(JobError, match="its text encoder minilm was never fitted"):
        joint.slices(earlier)


def test_registered_heads_come_back_as_they_were(trained: tuple[Path, str]) -> None:
    data, _ = trained
    version = joint.fitted_heads(settings(data))
    assert version is not None and version.tags["pairs"] == str(COUNT - 1)
    heads, again = joint.load(version), joint.load(version)
    assert hashlib.sha256(tensors_checksum(heads.state_dict()).encode()).hexdigest()[:8] == version.tags["checksum"]
    pictures = torch.randn(3, 24)
    assert heads.image_head(pictures).shape == (3, 256)
    assert torch.equal(heads.image_head(pictures), again.image_head(pictures))  # nothing is dropped any more
    folder = Path(mlflow.artifacts.download_artifacts(run_id=version.mlflow_run_id, artifact_path=joint.NAME))
    assert json.loads((folder / "joint.json").read_text())["sizes"] == {"image_size": 24, "text_size": 384}


def test_heads_that_learn_nothing_are_not_registered(trained: tuple[Path, str]) -> None:
    chance = {f"{who}/{way}/mrr": 0.05 for who in ("test", "untrained") for way in ("text_to_image", "image_to_text")}
    with pytest.raises(JobError, match="pictures and texts do not belong together; not registered"):
        joint.require_learned(chance)
    with pytest.raises(JobError, match="from image to text"):
        joint.require_learned(chance | {"test/text_to_image/mrr": 0.2})
    joint.require_learned(chance | {"test/text_to_image/mrr": 0.2, "test/image_to_text/mrr": 0.2})


def test_pictures_of_other_articles_teach_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, features = described.catalogue(COUNT)
    described.publish(tmp_path, rows)
    monkeypatch.setenv("ATELIER_MAPPING", "completejourney")  # another retailer in the same registry
    described.publish_pictures(tmp_path, np.random.default_rng(1).permutation(features), range(COUNT))
    words(tmp_path)
    monkeypatch.setattr(joint, "EPOCHS", 2)
    with pytest.raises(JobError, match="pictures and texts do not belong together; not registered"):
        run(tmp_path)
    assert not find_versions(joint.NAME, mapping="completejourney")


def test_too_few_pairs_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError, match="its image encoder resnet50 was never fitted on these pictures"):
        joint.slices(settings(tmp_path).model_copy(update={"encoder": "resnet50"}))
    monkeypatch.setenv("ATELIER_MAPPING", "few.toml")
    rows, features = described.catalogue(FEW)
    described.publish(tmp_path, rows)
    described.publish_pictures(tmp_path, features, range(FEW))
    words(tmp_path)
    with pytest.raises(JobError, match="joint: 30 articles with picture and text are too few"):
        run(tmp_path)


def test_a_retailer_without_pictures_has_no_joint_space(tmp_path: Path) -> None:
    given = settings(tmp_path).model_copy(update={"data": str(tmp_path), "encoder": "resnet50"})
    said = joint.main(Job("embeddings.joint", given, joint.READS, joint.WRITES))
    assert said.endswith("has the images: no space of pictures and texts")


def test_colours_of_a_product_are_on_one_side() -> None:
    products = pa.array([f"p{i // 3}" for i in range(3_000)])
    split = Split.of(products)
    sides = [set(products.take(pa.array(rows.numpy())).to_pylist()) for rows in vars(split).values()]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 1_000
    training, validation, test = map(len, sides)
    assert 800 < training < 900 and 30 < validation < 70 and 70 < test < 130


def test_ranks_by_hand() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.6, 0.8]])
    answers = torch.tensor([[0.8, 0.6], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    # Query 0: 2 and 3 are better than its own. Query 2: own 0.6, better 0 (0.96) and 1 (0.8), equal 3, which is alike.
    assert ranks(queries, answers, torch.tensor([0, 1, 2, 2])).tolist() == [3, 1, 3, 3]
    assert ranks(queries, answers, torch.tensor([0, 1, 2, 3])).tolist() == [3, 1, 3.5, 3.5]
    assert dict(measured(torch.tensor([1.0, 2.0, 20.0, 4.0]))) == {
        "recall_at_1": pytest.approx(1 / 4),
        "recall_at_10": pytest.approx(3 / 4),
        "mrr": pytest.approx((1 + 1 / 2 + 1 / 20 + 1 / 4) / 4),
    }
