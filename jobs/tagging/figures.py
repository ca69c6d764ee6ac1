"""How right tags are: figures, and confusion matrices as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure as Drawing

from expectations.tagging import TAGGING_METRICS
from jobs.embeddings.picture import shortened
from jobs.platform.schemas import arrow_schema
from jobs.tagging.calibration import Floats, Ints, calibration_error
from jobs.tagging.labels import Examples
from jobs.tagging.tagger import Tagger
from lightning_modules.tagging_heads import NO_LABEL

#: Classes of a confusion matrix that are shown; the others are one row and one column.
SHOWN = 25
#: Columns of a report: system and metric.
COLUMNS = (
    *(("tagger", metric) for metric in ("accuracy", "balanced_accuracy", "macro_f1", "answered", "accuracy_answered")),
    *(("frozen", "accuracy"), ("linear_probe", "accuracy"), ("majority_class", "accuracy")),
)


class TagFigure(NamedTuple):
    """One figure on held-out articles; see gold/tagging_metrics."""

    system: str
    label: str
    split: str
    metric: str
    value: float
    articles: int


def class_figures(truth: Ints, predicted: Ints) -> dict[str, float]:
    """accuracy; balanced_accuracy, the mean recall of the classes that occur; macro_f1, over classes seen or said."""
    classes = int(max(truth.max(), predicted.max())) + 1
    hits = np.bincount(truth[truth == predicted], minlength=classes)
    occurs, said = np.bincount(truth, minlength=classes), np.bincount(predicted, minlength=classes)
    f1 = 2 * hits / np.maximum(occurs + said, 1)
    return {
        "accuracy": float((truth == predicted).mean()),
        "balanced_accuracy": float((hits[occurs > 0] / occurs[occurs > 0]).mean()),
        "macro_f1": float(f1[(occurs + said) > 0].mean()),
    }


def tag_figures(system: str, split: str, tagger: Tagger, examples: Examples, rows: Ints) -> list[TagFigure]:
    """Figures of a tagger on these rows: class_figures, calibration_error, and of its answers above the threshold
    the share (answered) and the accuracy (accuracy_answered)."""
    found = tagger.likeliest(tagger.inputs(examples, rows))
    figures = []
    for place, name in enumerate(examples.labels.classes):
        truth = examples.labels.codes[rows, place]
        known = truth != NO_LABEL
        code, confidence = (values[known] for values in found[name])
        truth = truth[known]
        if not len(truth):
            continue
        is_right, is_answered = code == truth, confidence >= tagger.thresholds[name]
        values = class_figures(truth, code)
        values |= {"calibration_error": calibration_error(confidence, is_right), "answered": float(is_answered.mean())}
        if is_answered.any():
            values["accuracy_answered"] = float(is_right[is_answered].mean())
        figures += [TagFigure(system, name, split, metric, value, len(truth)) for metric, value in values.items()]
    return figures


def majority_figures(split: str, examples: Examples, training: Ints, rows: Ints) -> list[TagFigure]:
    """Figures of saying always what most articles of the training are."""
    figures = []
    for place, name in enumerate(examples.labels.classes):
        codes, truth = examples.labels.codes[training, place], examples.labels.codes[rows, place]
        codes, truth = codes[codes != NO_LABEL], truth[truth != NO_LABEL]
        if len(codes) and len(truth):
            values = class_figures(truth, np.full_like(truth, np.bincount(codes).argmax()))
            figures += [TagFigure("majority_class", name, split, m, value, len(truth)) for m, value in values.items()]
    return figures


def figures_table(report: str, figures: Sequence[TagFigure], run_id: str) -> pa.Table:
    """Rows of gold/tagging_metrics."""
    rows = [{**figure._asdict(), "report": report, "run_id": run_id} for figure in figures]
    return pa.Table.from_pylist(rows, schema=arrow_schema(TAGGING_METRICS))


def card(figures: Sequence[TagFigure], published: Mapping[str, str] | None = None) -> str:
    """The figures as Markdown tables, one for each split; `published` accuracies by label are of random splits."""
    value = {(f.split, f.label, f.system, f.metric): f.value for f in figures}
    lines = []
    for split in dict.fromkeys(f.split for f in figures):
        beside = published if split == "random" else None
        heads = [f"{system} {metric}".replace("_", " ") for system, metric in COLUMNS] + ["published"] * bool(beside)
        lines += ["", f"Held out by {split.replace('_', ' ')}:", "", f"| label | {' | '.join(heads)} |"]
        lines.append("|---" * (len(heads) + 1) + "|")
        for label in dict.fromkeys(f.label for f in figures if f.split == split):
            found = [value.get((split, label, *column)) for column in COLUMNS]
            cells = ["-" if each is None else f"{each:.3f}" for each in found]
            cells += [beside.get(label, "-")] if beside else []
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines).strip()


def draw_confusion(name: str, values: Sequence[str], truth: Ints, predicted: Ints, path: Path) -> None:
    """Write the confusion matrix of a label as PNG: of each stated value the shares of the predicted ones."""
    shown = np.argsort(-np.bincount(truth, minlength=len(values)), kind="stable")[:SHOWN]
    place = np.full(len(values), len(shown))
    place[shown] = np.arange(len(shown))
    size = len(shown) + (len(values) > len(shown))
    counts = np.zeros((size, size))
    np.add.at(counts, (place[truth], place[predicted]), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [shortened(values[code]) for code in shown] + ["others"] * (size - len(shown))
    side = 3 + 0.32 * size
    drawing = Drawing(figsize=(side + 1.5, side), layout="constrained")
    axes = drawing.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(size), names, rotation=90)
    axes.set_yticks(range(size), [f"{n} ({int(c):,})" for n, c in zip(names, counts.sum(1), strict=True)])
    axes.set(xlabel="predicted", ylabel="stated (articles)", title=f"{name}: {len(truth):,} held-out articles")
    for row, column in np.argwhere(shares >= 0.005):
        colour = "white" if shares[row, column] > 0.5 else "0.2"
        text = f"{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    drawing.savefig(path, dpi=110)


def draw_all(tagger: Tagger, examples: Examples, rows: Ints, folder: Path) -> None:
    """Confusion matrices of all labels on these rows."""
    found: Mapping[str, tuple[Ints, Floats]] = tagger.likeliest(tagger.inputs(examples, rows))
    for place, (name, values) in enumerate(examples.labels.classes.items()):
        truth = examples.labels.codes[rows, place]
        known = truth != NO_LABEL
        if known.any():
            draw_confusion(name, values, truth[known], found[name][0][known], folder / f"confusion_{name}.png")
