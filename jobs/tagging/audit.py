"""Articles whose stated label their picture contradicts with high confidence, as a table and a sheet of pictures.

Cross-fitted by product line: each article is judged by a tagger that was fitted on neither it nor its variants
("Confident Learning", 3.1). The sheet lies in the job's MLflow run.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from expectations.articles import ARTICLES
from expectations.operations import FEATURE_SLICES
from expectations.tagging import LABEL_AUDIT
from jobs.embeddings.decode import read
from jobs.embeddings.versions import image_folder
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.slices import record, recorded
from jobs.platform.tracking import start_run, use_tracking
from jobs.similarity.sheet import COLUMNS, GAP, HEIGHT, INK, LINE, WIDTH, Tile, place
from jobs.tagging.calibration import Floats, Ints
from jobs.tagging.examples import EXAMPLE_TABLES, Catalogue, load, why_no_pictures
from jobs.tagging.fit import fit
from jobs.tagging.labels import parts_of
from jobs.tagging.tagger import Tagger
from jobs.tagging.train import split
from lightning_modules.tagging_heads import NO_LABEL

READS, WRITES = EXAMPLE_TABLES, (LABEL_AUDIT, FEATURE_SLICES)
SETTINGS = (
    *("accept_drift", "data", "mapping", "encoder", "embedding_dim", "class_weighting", "seed", "mlflow_tracking_uri"),
)

#: Taggers, each of which judges its share of the product lines.
FOLDS = 5
#: A picture contradicts its label where another value is at least, and the stated one at most, so probable.
SURE, HARDLY = 0.9, 0.05
#: Articles on the sheet, and lines below each.
SHOWN, LINES = 30, 4
#: To be raised when the same examples are to give another audit.
VERSION = 3
_SLICE, _SHEET = "all", "label_audit.png"


def contradictions(tagger: Tagger, catalogue: Catalogue, rows: Ints) -> list[dict[str, object]]:
    """Rows of label_audit among these articles, without their rank."""
    labels, found = catalogue.examples.labels, list[dict[str, object]]()
    for block, shares in tagger.blocks(tagger.inputs(catalogue.examples, rows)):
        here = rows[block]
        for column, (name, values) in enumerate(labels.classes.items()):
            codes = labels.codes[here, column]
            said: Floats = shares[name][np.arange(len(here)), np.maximum(codes, 0)]
            best = shares[name].argmax(1)
            sure = shares[name].max(1)
            for n in np.flatnonzero((codes != NO_LABEL) & (sure >= SURE) & (said <= HARDLY)):
                found.append(
                    {
                        "article_id": catalogue.article_ids[here[n]].as_py(),
                        "label": name,
                        "stated_value": values[int(codes[n])],
                        "stated_probability": float(said[n]),
                        "value": values[int(best[n])],
                        "probability": float(sure[n]),
                        "encoder": catalogue.encoder,
                    }
                )
    return found


def audit(catalogue: Catalogue, folder: Path, balances: Sequence[float], seed: int) -> pa.Table:
    """The rows of label_audit, the surest contradiction first; see `fit` for `folder` and `balances`."""
    names = [f"audit {line}" for line in catalogue.lines]  # other folds than the trained tagger's parts
    folds, found = parts_of(names, FOLDS), list[dict[str, object]]()
    split(catalogue.lines)  # raises where there are too few
    for fold in np.unique(folds):
        others = np.flatnonzero(folds != fold)
        if not len(others):
            continue
        is_validation = parts_of([catalogue.lines[row] for row in others.tolist()]) == 0
        fitted = fit(
            catalogue.examples, others[~is_validation], others[is_validation], catalogue.encoder,
            folder / str(fold), seed, balances=balances,
        )  # fmt: skip
        found += contradictions(fitted, catalogue, np.flatnonzero(folds == fold))
    found.sort(key=lambda row: (row["stated_probability"] - row["probability"], row["article_id"], row["label"]))  # type: ignore[operator]
    return pa.Table.from_pylist([{"rank": n + 1, **row} for n, row in enumerate(found)], arrow_schema(LABEL_AUDIT))


def captions(rows: Iterable[Mapping[str, object]], names: Mapping[str, str | None]) -> dict[str, tuple[str, ...]]:
    """What is written below each article's picture: its surest contradiction, and how many more it has.

    Args:
        rows: of label_audit, by rank.
        names: of the articles.
    """
    found: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        found.setdefault(str(row["article_id"]), []).append(row)
    return {
        article_id: (
            f"{article_id} {names.get(article_id) or ''}".strip(),
            f"{own[0]['label']}" + f", {len(own) - 1} more" * (len(own) > 1),
            f"stated {own[0]['stated_value']}",
            f"looks {own[0]['value']} ({own[0]['probability']:.0%})",
        )
        for article_id, own in found.items()
    }


def draw(said: Mapping[str, tuple[str, ...]], settings: Settings) -> Image.Image:
    """The contact sheet: the pictures of the first articles, each with what is said of it, below a heading."""
    folder = image_folder(settings)
    assert folder is not None, "there were pictures to audit"
    shown = dict(islice(said.items(), SHOWN))
    step = HEIGHT + LINES * LINE + GAP
    top, rows = 3 * GAP, max(-(-len(shown) // COLUMNS), 1)
    sheet = Image.new("RGB", (GAP + COLUMNS * (WIDTH + GAP), top + rows * step), "white")
    heading = (
        f"Pictures contradict what the catalogue states: {len(shown):,} of {len(said):,} articles, the surest first"
    )
    ImageDraw.Draw(sheet).text((GAP, GAP), heading, INK, ImageFont.load_default(size=20))
    for n, (article_id, caption) in enumerate(shown.items()):
        content = read(folder.path(article_id), folder.roots)[1]
        row, column = divmod(n, COLUMNS)
        place(sheet, Tile(content, caption), (GAP + column * (WIDTH + GAP), top + row * step), (WIDTH, HEIGHT))
    return sheet


def names_of(job: Job) -> dict[str, str | None]:
    """The articles' names."""
    table = job.read_arrow(ARTICLES, ["article_id", "prod_name"])
    return dict(zip(table["article_id"].to_pylist(), table["prod_name"].to_pylist(), strict=True))


def main(job: Job) -> str:
    if why := why_no_pictures(job):
        return why
    settings = job.settings
    use_tracking(settings)
    catalogue = load(job)
    sources = {f"{catalogue.digest} {settings.class_weighting}": 0}
    if recorded(job, LABEL_AUDIT, VERSION).get(_SLICE) == sources:
        return f"{len(catalogue.examples):,} articles: up to date"
    with start_run(settings, job.name), tempfile.TemporaryDirectory() as scratch:
        work = settings.work_dir / "tagging" / f"audit-{catalogue.digest}-{settings.class_weighting}"
        table = audit(catalogue, work, settings.class_weighting, settings.seed)
        sheet = Path(scratch, _SHEET)
        said = captions(table.to_pylist(), names_of(job))
        draw(said, settings).save(sheet)
        mlflow.log_artifact(str(sheet))
        mlflow.log_metric("contradictions", table.num_rows)
        where = mlflow.get_artifact_uri(_SHEET)
    job.publish(LABEL_AUDIT, table, {})
    record(job, LABEL_AUDIT, VERSION, {_SLICE: sources})
    shutil.rmtree(work, ignore_errors=True)
    first = [
        f"{row['article_id']} is stated {row['stated_value']} and looks {row['value']}"
        for row in table.slice(0, 3).to_pylist()
    ]
    named = f"; first: {', '.join(first)}" if first else ""
    return (
        f"{table.num_rows:,} contradictions of {len(said):,} among {len(catalogue.examples):,} articles{named};"
        f" sheet {where}"
    )


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
