"""Labels, and whether trained features tell classes apart."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from jobs.embeddings import catalogue, encoders, reduction
from jobs.embeddings.stream import features_of
from jobs.platform.errors import JobError
from lightning_modules.catalogue_encoder import HEIGHT, NO_LABEL, WIDTH
from tests.conftest import SHARED_DATA


def articles(**labels: list[str | None]) -> pa.Table:
    n = len(next(iter(labels.values())))
    nothing = {label: [None] * n for label in catalogue.LABELS}
    products = {"article_id": [f"{i:010d}" for i in range(n)], "product_code": [f"{i:07d}" for i in range(n)]}
    return pa.table({k: pa.array(v, pa.string()) for k, v in (products | nothing | labels).items()})


def test_labels_are_numbered_by_name_and_missing_ones_marked() -> None:
    codes, classes = catalogue.label_codes(
        articles(product_type_name=["Sweater", None, "Dress"], colour_group_name=["Red", "Red", "Blue"])
    )
    assert classes == {"product_type_name": 2, "colour_group_name": 2}  # no appearance is known: nothing to learn
    assert codes.tolist() == [[1, 1], [NO_LABEL, 1], [0, 0]]


def test_no_labels_is_one_clear_line() -> None:
    with pytest.raises(JobError, match=r"no two different values of product_type_name.*--encoder efficientnet_lite0"):
        catalogue.label_codes(articles(colour_group_name=["Red", None, "Red"]))


def fashion_mnist(n: int) -> tuple[np.ndarray, np.ndarray]:
    folder = SHARED_DATA / "fashion_mnist"
    if not folder.is_dir():
        pytest.skip("Fashion-MNIST is not in the shared data folder")
    pixels = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    pictures = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28)[:n]
    prepared = [encoders.whole_on_white(Image.fromarray(p).convert("RGB"), (HEIGHT, WIDTH)) for p in pictures]
    return np.stack(prepared), np.frombuffer(labels, np.uint8)[:n]


@pytest.mark.slow
def test_neighbours_in_the_embedding_share_the_class_of_unseen_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST: 300 pictures trained on, 100 unseen ones looked up among them (10 classes; untrained: 0.46)."""
    monkeypatch.setattr(catalogue, "BATCH", 16)
    pictures, labels = fashion_mnist(400)
    seen, unseen = slice(0, 300), slice(300, None)
    table = articles(product_type_name=[str(label) for label in labels[seen]])
    network = catalogue.train(pictures[seen], table, seed=0).network
    features = features_of(encoders.catalogue(network), torch.from_numpy(pictures)).numpy()
    pca = reduction.fit(features[seen])
    vectors = pca.apply(features, 64)
    distances = np.linalg.norm(vectors[unseen][:, None] - vectors[seen][None], axis=2)
    nearest = labels[seen][distances.argsort(axis=1)[:, :10]]
    precision = (nearest == labels[unseen][:, None]).mean()
    assert precision > 0.55
