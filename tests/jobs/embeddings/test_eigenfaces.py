"""Eigenfaces: grey pixels, and coefficients that are sklearn's PCA of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

from jobs.embeddings import encoders, picture, reduction
from jobs.embeddings.stream import features_of
from tests.jobs.embeddings import drawn

N = 40


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalogue of N articles, whose pictures are noise: 30 components do not hold it all."""
    folder = tmp_path_factory.mktemp("eigenfaces")
    drawn.publish_articles(folder, range(N))
    rng = np.random.default_rng(0)
    for i in range(N):
        path = drawn.image_path(folder, i)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (96, 64, 3), dtype=np.uint8)).save(path, quality=95)
    return folder


def test_features_are_grey_pixels() -> None:
    encoder = encoders.open_encoder("eigenfaces", None)
    picture = np.full((1, *encoder.size, 3), 255, np.uint8)
    picture[0, 0, :3] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    features = features_of(encoder, torch.from_numpy(picture)).numpy()
    assert features.shape == (1, 48 * 32)
    assert features[0, :4] == pytest.approx([0.299, 0.587, 0.114, 1.0], abs=1e-6)
    assert features[0, 4:] == pytest.approx(1.0)


def test_the_job_keeps_thirty_components_of_sklearns_pca(data: Path) -> None:
    summary = drawn.run(data, encoder="eigenfaces")
    assert "PCA 1536 to 30 keeps" in summary and "eigenfaces.png, map.png" in summary
    rows = drawn.rows(data)
    vectors = np.array([rows[drawn.article_id(i)]["image_embedding"] for i in range(N)])
    expected = PCA(30).fit_transform(np.stack([grey(drawn.image_path(data, i)) for i in range(N)]))
    assert vectors.shape == (N, 30)
    assert np.abs(vectors) == pytest.approx(np.abs(expected), abs=1e-3)  # a component's sign is anybody's
    assert drawn.run(data, encoder="eigenfaces").endswith("up to date")


def grey(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        small = image.resize((32, 48), Image.Resampling.BILINEAR)
    return (np.asarray(small, np.float64) / 255 @ [0.299, 0.587, 0.114]).ravel()


def test_fewer_dimensions_are_the_first_of_the_thirty(data: Path) -> None:
    assert "-4d" in drawn.run(data, encoder="eigenfaces", embedding_dim=4)


def test_the_fit_keeps_no_more_components_than_asked_for() -> None:
    features = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    all_of_them, some = reduction.fit(features), reduction.fit(features, 2)
    assert some.components.shape == (2, 6)
    assert some.components == pytest.approx(all_of_them.components[:2])
    assert some.variance_kept(2) == pytest.approx(all_of_them.variance_kept(2))


def test_the_picture_begins_with_the_mean_and_goes_on_with_components_from_grey_outwards() -> None:
    """A component is drawn around middle grey, its strongest pixel black or white."""
    pca = reduction.Reduction(
        mean=np.array([0.0, 1.0], np.float32),
        components=np.array([[0.6, -0.3], [0.0, -0.2]], np.float32),
        variance_ratio=np.array([0.9, 0.1], np.float32),
    )
    drawn_ = np.asarray(picture.eigenfaces(pca, (1, 2)))[::4, ::4]
    assert drawn_[0].tolist()[:6] == [0, 255, 255, 64, 128, 0]
    assert (drawn_[0][6:] == 255).all()
