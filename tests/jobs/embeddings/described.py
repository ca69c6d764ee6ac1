"""A small catalogue of words, for the tests of texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS
from jobs.embeddings.kinds import KINDS
from jobs.embeddings.reduction import Reduction
from jobs.embeddings.versions import registry_name, version_name
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.tracking import log_model_folder, start_run
from jobs.platform.warehouse import Warehouse


def article_id(i: int) -> str:
    return f"{100_000_000 + i:010d}"


def publish(data: Path, rows: Sequence[dict[str, object]]) -> None:
    """silver/articles with these attributes; what a row does not name is null."""
    nothing = {column.name: None if column.nullable else False for column in ARTICLES.columns}
    full = [nothing | {"article_id": article_id(i), "article_key": i} | row for i, row in enumerate(rows)]
    table = pa.Table.from_pylist(full, arrow_schema(ARTICLES))
    Warehouse(str(data / "warehouse"), {"run_id": "test"}).publish_arrow(ARTICLES, table, {})


def publish_pictures(data: Path, features: np.ndarray, articles: Sequence[int], missing: Sequence[int] = ()) -> str:
    """article_embeddings and a registered encoder `catalogue`, as if pictures with these features [n, d] were embedded.

    Returns the slice.
    """
    settings = Settings(as_of_date=date(2020, 9, 16), warehouse=str(data / "warehouse"), encoder="catalogue")
    d = features.shape[1]
    pca = Reduction(np.zeros(d, np.float32), np.eye(d, dtype=np.float32), np.full(d, 1 / d, np.float32))
    tags = {"encoder": KINDS["catalogue"], "mapping": settings.mapping, "checksum": "0" * 8, "dimensions": str(d)}
    folder = data / "encoder"
    folder.mkdir()
    pca.save(folder / "pca.npz")
    with start_run(settings, "embeddings.images"):
        log_model_folder(registry_name(settings), folder, settings, tags)
    encoder = version_name(tags["encoder"], tags["checksum"], d)
    rows = [
        {
            "encoder": encoder,
            "article_id": article_id(i),
            "image_status": "missing" if i in missing else "ok",
            "image_embedding": None if i in missing else features[n].tolist(),
        }
        for n, i in enumerate(articles)
    ]
    table = pa.Table.from_pylist(rows, arrow_schema(ARTICLE_EMBEDDINGS))
    Warehouse(str(data / "warehouse"), {"run_id": "test"}).publish_arrow(ARTICLE_EMBEDDINGS, table, {})
    return encoder


COLOURS = ("Red", "Blue", "Green", "Black", "White", "Yellow", "Pink", "Brown")
TYPES = ("Dress", "Trousers", "Shoes", "Jacket", "Hat", "Socks", "Bag", "Shirt", "Skirt", "Scarf")


def catalogue(count: int, seed: int = 0) -> tuple[list[dict[str, object]], np.ndarray]:
    """Articles of random colour and type, two colours a product, and pictures [n, 24] that show both, with noise."""
    rng = np.random.default_rng(seed)
    colour, kind = rng.integers(len(COLOURS), size=count), np.repeat(rng.integers(len(TYPES), size=count), 2)[:count]
    looks = rng.standard_normal((len(COLOURS) + len(TYPES), 24))
    features = looks[colour] + looks[len(COLOURS) + kind] + 0.3 * rng.standard_normal((count, 24))
    rows: list[dict[str, object]] = [
        {
            "product_code": f"p{i // 2}",
            "prod_name": f"{COLOURS[colour[i]]} {TYPES[kind[i]]} no {i // 2}",
            "colour_group_name": COLOURS[colour[i]],
            "product_type_name": TYPES[kind[i]],
            "department_name": ("Basics", "Party")[i // 2 % 2],
        }
        for i in range(count)
    ]
    return rows, features.astype(np.float32)
