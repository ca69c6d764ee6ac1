"""The comparison of paper 004 on a catalogue's pictures: twelve CNNs from scratch, beside the majority class.

Softmax over the classes of a label, or sigmoid over binary columns ("Unisex" is men and women), for each of five
labels and for all of them together: as one class each combination that occurs, or as all binary columns. Ten article
types, 80 % to train on, 20 % to test on: one by one as in the paper, and by product line, because variants of one
product on both sides flatter every model. An article is right where all its columns are.

    python -m jobs.tagging.paper_track --as-of-date 2020-09-23 --mapping fashion_product_images --data DIR

Not a task of a DAG. Models that a killed run had judged are not trained again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytorch_lightning as pl
import torch
from torch import nn

from expectations.articles import ARTICLES
from expectations.events import ARTICLE_ATTRIBUTES
from expectations.tagging import TAGGING_METRICS
from jobs.embeddings.decode import inspect_all
from jobs.embeddings.encoders import Encoder, whole_on_white
from jobs.embeddings.product_lines import COLUMNS, product_lines
from jobs.embeddings.stream import Pictures
from jobs.embeddings.training import fit
from jobs.embeddings.versions import image_folder
from jobs.evaluation.docs_section import write_section
from jobs.ingest.mapping import load_mapping
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.tracking import start_run
from jobs.tagging.calibration import Ints
from jobs.tagging.examples import columns, why_no_pictures
from jobs.tagging.figures import TagFigure, class_figures, figures_table
from jobs.tagging.labels import parts_of
from lightning_modules.tagging_cnn import HEIGHT, WIDTH, TaggedImages, TaggingCNN

READS, WRITES = (ARTICLES, ARTICLE_ATTRIBUTES), (TAGGING_METRICS,)
SETTINGS = ("accept_drift", "data", "mapping", "tagging_epochs", "seed", "write_docs", "mlflow_tracking_uri")

PAGE, SECTION = "tagging.md", "paper 004"
#: Label -> accuracy of the paper's multi-class and multi-label model, and its seconds (Table 2).
PAPER = {
    "masterCategory": (0.97, 0.99, 880),
    "subCategory": (0.97, 0.81, 890),
    "gender": (0.81, 0.85, 880),
    "season": (0.70, 0.67, 880),
    "usage": (0.93, 0.13, 880),
    "all": (0.62, 0.32, 990),
}
ALL = "all"
TYPE = "articleType"
TYPES = (
    *("Shirts", "Watches", "Sports Shoes", "Tops", "Handbags", "Heels", "Sunglasses", "Backpacks", "Jeans", "Shorts"),
)
#: A value that is two at once.
BOTH = {"Unisex": ("Men", "Women")}
SPLITS = {"random": "article_id", "product_line": "line"}
TEST_PARTS = 5  # one of five
BATCH = 64
METRICS = ("accuracy", "balanced_accuracy", "macro_f1")


def chosen(kinds: pa.ChunkedArray, categories: pa.ChunkedArray) -> tuple[str, ...]:
    """The paper's ten article types; of a catalogue that has not all of them ten others.

    These are the most frequent ones, the catalogue's categories taking turns, as the paper's are of three.
    """
    counted = pa.table({"kind": kinds, "category": categories}).filter(kinds.is_valid())
    rows = counted.group_by(["kind", "category"]).aggregate([([], "count_all")]).to_pylist()
    rows.sort(key=lambda row: (-row["count_all"], row["kind"], row["category"] or ""))
    by_category: dict[str | None, list[str]] = {}
    for row in rows:
        by_category.setdefault(row["category"], []).append(row["kind"])
    if set(TYPES) <= {row["kind"] for row in rows}:
        return TYPES
    turns = itertools.zip_longest(*by_category.values())
    names = dict.fromkeys(name for turn in turns for name in turn if name is not None)
    return tuple(names)[: len(TYPES)]


def binary_columns(values: Sequence[str]) -> np.ndarray:
    """Binary-encoded values, bool [n, columns]: one column for each value that is not two others at once."""
    names = sorted({name for value in values for name in BOTH.get(value, (value,))})
    place = {name: n for n, name in enumerate(names)}
    coded = np.zeros((len(values), len(names)), bool)
    for row, value in enumerate(values):
        coded[row, [place[name] for name in BOTH.get(value, (value,))]] = True
    return coded


def classes_of(columns_: np.ndarray) -> Ints:
    """Each different row of a matrix as one class, [n]."""
    return np.unique(columns_, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def judged(
    images: torch.Tensor, coded: np.ndarray, is_test: np.ndarray, is_multi_label: bool, epochs: int, seed: int
) -> dict[str, float]:
    """Figures of one model, its seconds and its outputs, on the test rows."""
    truth = classes_of(coded)
    target = coded.astype(np.float32) if is_multi_label else truth
    outputs = target.shape[1] if is_multi_label else int(truth.max()) + 1
    training = torch.from_numpy(~is_test)
    pl.seed_everything(seed, verbose=False)
    module = TaggingCNN(outputs, is_multi_label)
    data = TaggedImages(images, torch.from_numpy(target), training, BATCH, seed)
    begun = time.monotonic()
    fit(module, data, epochs * len(data.train_dataloader()))
    seconds = time.monotonic() - begun
    module = module.cpu().eval()
    with torch.inference_mode():
        test = images[torch.from_numpy(is_test)]
        logits = torch.cat([module(some) for some in test.split(512)]).numpy()
    if is_multi_label:  # a combination that no article has is a class of its own
        both = classes_of(np.vstack([coded[is_test], logits > 0]))
        right, said = both[: len(logits)], both[len(logits) :]
    else:
        right, said = truth[is_test], logits.argmax(1)
    return class_figures(right, said) | {"seconds": seconds, "outputs": float(outputs)}


def figures(
    images: torch.Tensor, labels: Mapping[str, np.ndarray], splits: Mapping[str, np.ndarray], folder: Path,
    epochs: int, seed: int,
) -> list[TagFigure]:  # fmt: skip
    """Figures of all models and of the majority class; those of models in `folder` are taken from there."""
    found = []
    folder.mkdir(parents=True, exist_ok=True)
    for split, is_test in splits.items():
        count = int(is_test.sum())
        for label, coded in labels.items():
            truth = classes_of(coded)
            most = np.bincount(truth[~is_test]).argmax()
            rows = {"majority_class": class_figures(truth[is_test], np.full(count, most))}
            for system, is_multi_label in (("cnn_softmax", False), ("cnn_sigmoid", True)):
                kept = folder / f"{split}-{label}-{system}.json"
                if not kept.exists():
                    values = judged(images, coded, is_test, is_multi_label, epochs, seed)
                    kept.write_text(json.dumps(values))
                    print(f"{split} {label} {system}: accuracy {values['accuracy']:.3f}, {values['seconds']:.0f} s")
                rows[system] = json.loads(kept.read_text())
            found += [
                TagFigure(system, label, split, metric, value, count)
                for system, values in rows.items()
                for metric, value in values.items()
            ]
    return found


def report(figures: Sequence[TagFigure], articles: int, kinds: Sequence[str]) -> str:
    """The Markdown tables, one for each split, beside the paper's."""
    value = {(f.split, f.label, f.system, f.metric): f.value for f in figures}
    systems = {"majority_class": "majority", "cnn_softmax": "multi-class", "cnn_sigmoid": "multi-label"}
    lines = [
        f"{articles:,} articles of {len(kinds)} types ({', '.join(kinds)}); accuracy / balanced accuracy / macro-F1. Of"
        " multi-label models an article is right where all columns are."
    ]
    for split in SPLITS:
        heads = f"| label | {' | '.join(systems.values())} | seconds | paper: multi-class, multi-label, seconds |"
        lines += ["", f"Held out by {split.replace('_', ' ')}:", "", heads, "|---" * 6 + "|"]
        for label, (soft, sigmoid, seconds) in PAPER.items():
            if (split, label, "cnn_softmax", "accuracy") not in value:
                continue
            cells = [" / ".join(f"{value[split, label, s, m]:.3f}" for m in METRICS) for s in systems]
            took = [value[split, label, system, "seconds"] for system in ("cnn_softmax", "cnn_sigmoid")]
            outputs = [value[split, label, system, "outputs"] for system in ("cnn_softmax", "cnn_sigmoid")]
            name = f"{label} ({outputs[0]:.0f} classes, {outputs[1]:.0f} columns)"
            times = f"{took[0]:.0f}, {took[1]:.0f}"
            lines.append(f"| {name} | {' | '.join(cells)} | {times} | {soft:.2f}, {sigmoid:.2f}, {seconds} |")
    return "\n".join(lines)


def pictures(job: Job, article_ids: Sequence[str]) -> tuple[torch.Tensor, list[int]]:
    """Images uint8 [m, 3, HEIGHT, WIDTH], and the m of the articles that have one."""
    folder = image_folder(job.settings)
    assert folder is not None, "there are pictures"
    size = (HEIGHT, WIDTH)
    encoder = Encoder("", nn.Identity(), partial(whole_on_white, size=size), size, (2 * WIDTH, 2 * HEIGHT), "")
    paths = [folder.path(article_id) for article_id in article_ids]
    files = inspect_all(paths, folder.roots)
    there = [n for n, file in enumerate(files) if file.status == "ok"]
    pixels, good = Pictures(paths, [file.checksum for file in files], folder.roots, encoder).decoded(there)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), good


def main(job: Job) -> str:
    if why := why_no_pictures(job):
        return why
    settings = job.settings
    names = [name for name in PAPER if name in load_mapping(settings.mapping).labels]
    if TYPE not in load_mapping(settings.mapping).articles.attributes or not names:
        raise JobError(
            f"mapping {settings.mapping} has not the paper's labels {', '.join(n for n in PAPER if n != ALL)} and"
            f" {TYPE} as attributes; mapping fashion_product_images has"
        )
    everything = job.read_arrow(ARTICLES, ["article_id"]).sort_by("article_id")["article_id"].combine_chunks()
    kinds = chosen(*columns(job, everything, [TYPE, names[0]]).values())
    wanted = [*COLUMNS, TYPE, *names]
    table = pa.table(columns(job, everything, wanted))
    table = table.filter(pc.is_in(table[TYPE], value_set=pa.array(kinds)))
    for name in names:  # as the paper's cleaned data: all labels are given
        table = table.filter(table[name].is_valid())
    images, good = pictures(job, table["article_id"].to_pylist())
    table = table.take(pa.array(good, pa.int64()))
    if table.num_rows < 10 * TEST_PARTS:
        raise JobError(f"{table.num_rows:,} pictures with all labels are too few to compare models on")
    labels = {name: binary_columns(table[name].to_pylist()) for name in names}
    labels[ALL] = np.hstack(list(labels.values()))
    by = {"article_id": table["article_id"].to_pylist(), "line": product_lines(table)}
    splits = {split: parts_of(by[column], TEST_PARTS) == 0 for split, column in SPLITS.items()}
    digest = hashlib.sha256(images.numpy().tobytes() + labels[ALL].tobytes() + f"{settings.seed}".encode())
    folder = settings.work_dir / "tagging" / f"paper-{settings.tagging_epochs}-{digest.hexdigest()[:16]}"
    with start_run(settings, job.name):
        found = figures(images, labels, splits, folder, settings.tagging_epochs, settings.seed)
        mlflow.log_metrics({f"{f.split}/{f.system}/{f.label}/{f.metric}": f.value for f in found})
    job.publish(TAGGING_METRICS, figures_table("paper_track", found, settings.run_id), {"report": ["paper_track"]})
    text = report(found, table.num_rows, kinds)
    print(text)
    words = f"{table.num_rows:,} articles, {2 * len(labels)} models by {len(splits)} splits"
    return f"{words}, into {write_section(PAGE, SECTION, text)}" if settings.write_docs else words


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
