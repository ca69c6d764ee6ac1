"""A small catalogue with drawn JPEGs, for the embedding tests."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from PIL import Image, ImageDraw

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS
from jobs.embeddings import images
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse

COLOURS = {"Red": (200, 20, 30), "Blue": (20, 40, 190), "Green": (20, 160, 50)}
GARMENTS = ("Trousers", "Sweater")


def article_id(i: int) -> str:
    return f"0{100_000_000 + 1_000 * i:09d}"


def image_path(data: Path, i: int) -> Path:
    return data / "images" / article_id(i)[:3] / f"{article_id(i)}.jpg"


def draw(data: Path, i: int, colour: str | None = None) -> None:
    """Article i's picture: a colour and a shape, slightly different each."""
    picture = Image.new("RGB", (60, 90), (235, 235, 235))
    box = (10 + i % 5, 10, 50, 80) if i % 2 else (5, 30 + i % 5, 55, 60)
    ImageDraw.Draw(picture).rectangle(box, COLOURS[colour or list(COLOURS)[i % 3]])
    path = image_path(data, i)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=95)


def publish_articles(data: Path, numbers: range, has_codes: bool = True) -> None:
    """silver/articles with these articles and the labels their pictures show; without product codes names alone."""
    values = {
        "article_id": [article_id(i) for i in numbers],
        "article_key": list(numbers),
        "product_code": [article_id(i)[:7] if has_codes else None for i in numbers],
        "prod_name": [None if has_codes else f"{'abcd'[i // 3 % 4]}x in {list(COLOURS)[i % 3]}" for i in numbers],
        "product_group_name": [f"Garment {GARMENTS[i % 2]}" for i in numbers],
        "product_type_name": [GARMENTS[i % 2] for i in numbers],
        "colour_group_name": [list(COLOURS)[i % 3] for i in numbers],
    }
    nothing = {column.name: [None if column.nullable else False] * len(numbers) for column in ARTICLES.columns}
    rows = pa.table({**nothing, **values}, schema=arrow_schema(ARTICLES))
    Warehouse(str(data / "warehouse"), {"run_id": "test"}).publish_arrow(ARTICLES, rows, {})


def settings(data: Path, **values: object) -> Settings:
    fields: dict[str, object] = {"data": data, "warehouse": str(data / "warehouse"), "encoder": "catalogue", **values}
    return Settings(as_of_date=date(2020, 9, 16), **fields)


def run(data: Path, **values: object) -> str:
    """One run of the job; its summary."""
    return images.main(Job("embeddings.images", settings(data, **values), images.READS, images.WRITES))


def table(data: Path) -> DeltaTable:
    return DeltaTable(str(data / "warehouse" / ARTICLE_EMBEDDINGS.path))


def rows(data: Path) -> dict[str, dict[str, object]]:
    """article_embeddings by article."""
    return {row["article_id"]: row for row in table(data).to_pyarrow_table().to_pylist()}
