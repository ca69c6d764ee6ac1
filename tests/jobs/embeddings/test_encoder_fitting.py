"""What the catalogue's encoder is trained on, and what is logged of an encoder's first run."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from jobs.embeddings import catalogue, encoder_fitting, encoders
from jobs.embeddings.decode import inspect_all
from jobs.embeddings.stream import Pictures
from jobs.embeddings.training import Trained
from jobs.embeddings.versions import fitted_encoder
from jobs.platform.tracking import start_run
from lightning_modules.catalogue_encoder import CatalogueEncoder
from tests.jobs.embeddings import drawn

N, MOST = 12, 5


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    for i in range(N):
        drawn.draw(tmp_path, i)
    paths = [drawn.image_path(tmp_path, i) for i in range(N)]
    checksums = [file.checksum for file in inspect_all(paths, [tmp_path])]
    return Pictures(paths, checksums, [tmp_path.resolve()], encoders.catalogue(CatalogueEncoder()))


def trained_on(
    pictures: Pictures, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> tuple[list[list[int]], list[str], np.ndarray]:
    """Rows asked to be decoded, articles and images that the training is given."""
    asked, given = [], []
    decoded = Pictures.decoded
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "decoded", lambda self, rows: (asked.append(list(rows)), decoded(self, rows))[1])
        patch.setattr(
            catalogue,
            "train",
            lambda images, articles, *_: (given.append((images, articles)), Trained(CatalogueEncoder(), {}))[1],
        )
        settings = drawn.settings(folder, seed=seed)
        articles = pa.table({"article_id": [drawn.article_id(i) for i in range(N)]})
        patch.setattr(encoder_fitting, "RunLogger", lambda _: False)
        encoder_fitting.train(settings, "a run", articles, pictures)
    return asked, given[0][1]["article_id"].to_pylist(), given[0][0]


def test_no_more_images_are_loaded_than_trained_on_and_always_the_same(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MAX_IMAGES", MOST)
    asked, articles, images = trained_on(pictures, tmp_path, monkeypatch, seed=1)
    (rows,) = asked
    assert len(set(rows)) == len(rows) == MOST and rows == sorted(rows)
    assert articles == [drawn.article_id(i) for i in rows]
    expected = [pictures.encoder.prepare(Image.open(pictures.paths[i]).convert("RGB")) for i in rows]
    assert np.abs(images.astype(int) - np.stack(expected)).max() <= 2
    assert trained_on(pictures, tmp_path, monkeypatch, seed=1)[0] == asked
    others = [trained_on(pictures, tmp_path, monkeypatch, seed)[0] for seed in (2, 3)]
    assert others != [asked, asked]


def test_a_small_catalogue_is_used_whole_less_what_is_broken(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures.paths[4].write_bytes(b"not what it was")
    asked, articles, images = trained_on(pictures, tmp_path, monkeypatch, seed=1)
    assert asked == [list(range(N))]
    assert articles == [drawn.article_id(i) for i in range(N) if i != 4] and len(images) == N - 1


def test_what_is_logged_of_a_first_run(tmp_path: Path, pictures: Pictures) -> None:
    """Features of two directions, of variances 8 and 2: the first keeps four fifths."""
    features = np.zeros((N, 4), np.float32)
    features[:, 0] = np.sqrt(8) * np.tile([1, -1], N // 2)
    features[:, 1] = np.sqrt(2) * np.tile([1, 1, -1, -1], N // 4)
    articles = pa.table({"product_group_name": ["Shoes", None] * (N // 2), "colour_group_name": ["Dark Blue"] * N})
    settings = drawn.settings(tmp_path, embedding_dim=2)
    with start_run(settings, "test") as run:
        trained = Trained(pictures.encoder.network, {"val/accuracy_x": 0.5})
        version, pca, said = encoder_fitting.register(settings, pictures.encoder, features, articles, trained)
    assert pca.variance_kept(1) == pytest.approx(0.8) and fitted_encoder(settings) == version
    logged = mlflow.MlflowClient().get_run(run.info.run_id).data
    assert logged.metrics == {"pca/variance_kept": pytest.approx(1), "val/accuracy_x": 0.5}
    assert logged.params["dimensions"] == "2" and logged.params["encoder"] == pictures.encoder.kind
    (folder,) = (tmp_path / "warehouse" / "mlflow" / "artifacts").rglob("catalogue_encoder")
    with Image.open(folder / "map.png") as picture:
        assert min(picture.size) > 600
    assert said.endswith(f"pictures in {folder.as_uri()}: map.png")
    assert "PCA 4 to 2 keeps 100.0% of the variance; held-out accuracy x 0.5;" in said
    assert json.loads((folder / "encoder.json").read_text())["figures"] == logged.metrics
