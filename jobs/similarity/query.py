"""Articles like some words, like any picture, or like both, as a table and as a sheet of pictures.

    python -m jobs.similarity.query --text "red summer dress" --method joint --top 10
    python -m jobs.similarity.query --image photo.jpg
    python -m jobs.similarity.query --image photo.jpg --text "in blue" --method joint
    python -m jobs.similarity.query --image photo.jpg --method cosine_resnet50 --top 6 --out sheet.png

Not a task of a DAG: it reads tables and the model registry, and writes the sheet only.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from pydantic import ValidationError

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from jobs.embeddings.decode import open_rgb, read
from jobs.embeddings.versions import image_folder
from jobs.platform.errors import JobError
from jobs.platform.job import EXIT_JOB_ERROR
from jobs.platform.setting_types import LAST_DAY
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.similarity.catalogue_search import MOST, CatalogueSearch, check_top
from jobs.similarity.methods import METHODS, parts_of
from jobs.similarity.sheet import Tile, draw_sheet

#: Methods where none is named: for words alone, and for words and a picture.
BY_WORDS, BY_BOTH = "minilm", "joint"
#: Columns of the printed table: of silver/articles, and their headings.
SHOWN = {"article_id": "article", "prod_name": "name", "product_type_name": "type", "colour_group_name": "colour"}


@dataclass(frozen=True)
class Pick:
    """One article near the picture: SHOWN of it, and its score."""

    rank: int
    score: float
    article: dict[str, Any]


def picture_of(path: Path) -> bytes:
    """The file's content; JobError when it is no image."""
    try:
        root = path.resolve().parent
    except (OSError, ValueError, RuntimeError) as error:  # a null byte; links in a circle
        raise JobError(f"{str(path)!r}: {error}") from None
    file, content = read(path, [root])
    if file.status != "ok":
        raise JobError(f"{path}: {file.error or 'no such file'}")
    try:
        open_rgb(content, (1, 1))
    except ValueError as error:
        raise JobError(f"{path}: {error}") from None
    return content


def find(settings: Settings, top: int, text: str | None = None, image: bytes | None = None) -> list[Pick]:
    """The `top` articles most like a text, a picture (a file's content) or both, by the method of the settings.

    Raises JobError: `top` is not from 1 to MOST; the method takes no such question; tables, encoder or its weights are
    missing.
    """
    check_top(top)
    warehouse = Warehouse(settings.warehouse, {})
    for method, _ in parts_of(settings):
        for table, needed in ((ARTICLE_EMBEDDINGS, method.takes_image), (ARTICLE_TEXT_EMBEDDINGS, method.takes_text)):
            if needed and not warehouse.exists(table):
                raise JobError(f"{warehouse.uri(table)}: no such table; name another --warehouse, or run the DAG")
    hits = CatalogueSearch.load(warehouse.read_arrow, settings).search(text, image, top)
    ids = pa.array([hit.article_id for hit in hits], pa.string())
    articles = warehouse.read_arrow(ARTICLES, list(SHOWN), where={"article_id": ids.to_pylist()})
    articles = articles.take(pc.index_in(ids, value_set=articles["article_id"].combine_chunks()))
    return [
        Pick(rank, hit.score, article)
        for rank, (hit, article) in enumerate(zip(hits, articles.to_pylist(), strict=True), 1)
    ]


def table(picks: Sequence[Pick]) -> str:
    """The picks as text, a line each, in columns."""
    rows = [["rank", *SHOWN.values(), "score"]]
    rows += [[str(p.rank), *(str(p.article[name] or "-") for name in SHOWN), f"{p.score:.4f}"] for p in picks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(n) for text, n in zip(row, widths, strict=True)).rstrip() for row in rows)


def sheet(content: bytes | None, text: str | None, picks: Sequence[Pick], settings: Settings) -> Image.Image:
    """What was asked and, beside it, the pictures of the picks."""
    folder = image_folder(settings)
    tiles = [Tile(content, (f'"{text}"' if text else "your picture",))]
    for pick in picks:
        article = pick.article
        picture = read(folder.path(article["article_id"]), folder.roots)[1] if folder else None
        words = (f"{pick.rank}.  {article['article_id']}  {pick.score:.3f}", article["prod_name"] or "")
        kind = ", ".join(filter(None, (article["product_type_name"], article["colour_group_name"])))
        tiles.append(Tile(picture, (*words, kind)))
    return draw_sheet(tiles)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    described = {name: field.description for name, field in Settings.model_fields.items()}
    parser = argparse.ArgumentParser(
        prog="python -m jobs.similarity.query",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"methods: {', '.join(METHODS)}\nEach can be used once the DAG catalogue_intelligence has fitted its"
        " encoders; those of texts and the joint ones\ntake --text. Settings that are not given come from ATELIER_*, as"
        " for every job.",
    )
    parser.add_argument("--text", help="what is looked for, in words")
    parser.add_argument("--image", type=Path, help="a picture of it: JPEG, PNG, WEBP, GIF, BMP or TIFF")
    default = Settings.model_fields["method"].default
    parser.add_argument(
        "--method",
        help=f"{described['method']} (default: {default}; with --text {BY_WORDS}, with both {BY_BOTH})",
    )
    parser.add_argument("--top", type=int, default=10, help=f"articles to find, 1 to {MOST} (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("similar.png"), help="the sheet (default: similar.png)")
    for name in ("warehouse", "data", "mapping", "weights_dir", "embedding_dim", "mlflow_tracking_uri"):
        parser.add_argument(f"--{name.replace('_', '-')}", help=described[name])
    return parser.parse_args(argv)


def settings_of(given: argparse.Namespace) -> Settings:
    """The settings of what was given; JobError when a value is none that it can have."""
    if given.method is not None and given.method not in METHODS:
        raise JobError(f"--method {given.method}: unknown; one of {', '.join(METHODS)}")
    if given.out.suffix.lower() != ".png" or not given.out.resolve().parent.is_dir():
        raise JobError(f"--out {given.out}: not a .png file in a folder that exists")
    fields = {name: value for name, value in vars(given).items() if name not in ("text", "image", "top", "out")}
    if given.method is None and given.text is not None and "ATELIER_METHOD" not in os.environ:
        fields["method"] = BY_BOTH if given.image else BY_WORDS
    try:  # pictures have no date, and what is delisted by now is found no more
        return Settings(as_of_date=LAST_DAY, **{name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise JobError("; ".join(f"--{e['loc'][0]}: {e['msg']}".replace("_", "-") for e in error.errors())) from None


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    given = arguments(argv)
    try:
        if given.text is None and given.image is None:
            raise JobError("nothing to look for: give --text, --image or both")
        settings = settings_of(given)
        content = picture_of(given.image) if given.image else None
        picks = find(settings, given.top, given.text, content)
        print(table(picks))
        sheet(content, given.text, picks, settings).save(given.out)
    except (JobError, OSError) as error:
        print(f"ERROR similarity.query: {error}", file=sys.stderr)
        return EXIT_JOB_ERROR
    print(f"{len(picks)} articles by {settings.method}; sheet: {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
