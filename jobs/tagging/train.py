"""Fits the tagger: a classifier per label over the vectors of the pictures, and whether it replaces the one before.

Labels are those of the mapping. Articles are held out by product line, since variants of one product on both sides of
a split flatter every model; for figures to compare with published ones a second tagger holds them out one by one, and
is thrown away. Beside both stand a linear probe on the same vectors and the majority class. The new tagger becomes
champion where the articles held out from both say that it is better than the champion. What a tagger was fitted on
already is left.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlflow
import numpy as np

from expectations.tagging import TAGGING_METRICS
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.lightning import RunLogger
from jobs.platform.tracking import (
    ModelVersion,
    champion,
    describe_version,
    find_versions,
    load_model_folder,
    log_model_folder,
    set_champion,
    start_run,
    use_tracking,
)
from jobs.tagging import tagger as taggers
from jobs.tagging.calibration import Floats, Ints
from jobs.tagging.examples import EXAMPLE_TABLES, Catalogue, load, vectors_of, why_no_pictures
from jobs.tagging.figures import TagFigure, card, draw_all, figures_table, majority_figures, tag_figures
from jobs.tagging.fit import Examples, fit
from jobs.tagging.labels import TEST, VALIDATION, parts_of
from jobs.tagging.tagger import Tagger
from lightning_modules.tagging_heads import NO_LABEL

READS, WRITES = EXAMPLE_TABLES, (TAGGING_METRICS,)
SETTINGS = ("accept_drift", "data", "mapping", "encoder", "embedding_dim", "seed", "mlflow_tracking_uri")

#: Name in the model registry.
NAME = "article_tagger"
#: To be raised when the same examples are to give another tagger.
VERSION = 1
#: Fewer articles leave nothing to hold out.
MIN_ARTICLES = 20


def split(names: Sequence[str]) -> tuple[Ints, Ints, Ints]:
    """Rows to train on, to validate on and to test on, by these names; JobError where one of them is empty."""
    parts = parts_of(names)
    training = np.flatnonzero((parts != TEST) & (parts != VALIDATION))
    validation, test = np.flatnonzero(parts == VALIDATION), np.flatnonzero(parts == TEST)
    if len(names) < MIN_ARTICLES or not min(len(training), len(validation), len(test)):
        raise JobError(
            f"{len(names):,} articles with a picture, of {len(set(names)):,} product lines, are too few to train a"
            f" tagger and hold some out; it takes {MIN_ARTICLES} at least"
        )
    return training, validation, test


def judged(job: Job, catalogue: Catalogue, run_id: str) -> tuple[Tagger, list[TagFigure], Ints]:
    """The tagger, the figures by both splits, and the rows held out by product line."""
    settings, examples = job.settings, catalogue.examples
    work = settings.work_dir / "tagging" / catalogue.digest
    figures, kept, held_out = list[TagFigure](), None, None
    for name, names in (("product_line", catalogue.lines), ("random", catalogue.article_ids.to_pylist())):
        training, validation, test = split(names)
        for system, is_probe in (("tagger", False), ("linear_probe", True)):
            is_kept = name == "product_line" and not is_probe
            fitted = fit(
                examples, training, validation, catalogue.encoder, work / f"{name}-{system}", settings.seed,
                logger=RunLogger(run_id) if is_kept else None, is_probe=is_probe,
            )  # fmt: skip
            figures += tag_figures(system, name, fitted, examples, test)
            if is_kept:
                kept, held_out = fitted, test
        figures += majority_figures(name, examples, training, test)
    assert kept is not None and held_out is not None
    return kept, figures, held_out


def mean_accuracy(tagger: Tagger, vectors: Floats, examples: Examples, rows: Ints) -> float:
    """Mean over the examples' labels of the share of tags that are the stated value; 0 for a label it does not know.

    Args:
        vectors: of those rows, by the tagger's own encoder.
    """
    found, shares = tagger.likeliest(vectors), []
    for place, (name, values) in enumerate(examples.labels.classes.items()):
        codes = examples.labels.codes[rows, place]
        known = codes != NO_LABEL
        if known.any():
            says = np.array(tagger.classes.get(name, [""]), dtype=object)[found[name][0][known] if name in found else 0]
            shares.append(float((says == np.array(values, dtype=object)[codes[known]]).mean()))
    return float(np.mean(shares)) if shares else 0.0


def rival(job: Job, catalogue: Catalogue, version: ModelVersion, rows: Ints) -> tuple[Tagger, Floats, Ints] | None:
    """The champion, its encoder's vectors of as many of the held-out rows as it has them of, and these rows."""
    with tempfile.TemporaryDirectory() as scratch:
        old = taggers.load(load_model_folder(version.name, version.version, Path(scratch)))
    if old.encoder == catalogue.encoder:
        return old, catalogue.examples.vectors[rows], rows
    ids, vectors = vectors_of(job, old.encoder)
    place = {article: n for n, article in enumerate(ids.to_pylist())}
    both = [row for row in rows.tolist() if catalogue.article_ids[row].as_py() in place]
    if not both:
        return None
    return old, vectors[[place[catalogue.article_ids[row].as_py()] for row in both]], np.array(both)


def gate(job: Job, catalogue: Catalogue, tagger: Tagger, version: str, rows: Ints) -> str:
    """Make the version champion if it is better than the champion on the held-out rows; returns the reason."""
    before = champion(NAME)
    against = rival(job, catalogue, before, rows) if before else None
    if before is None or against is None:
        reason = "It is the first." if before is None else f"Version {before.version}'s vectors are gone."
        set_champion(NAME, version, reason)
        return reason
    old, old_vectors, both = against
    new = mean_accuracy(tagger, catalogue.examples.vectors[both], catalogue.examples, both)
    rest = mean_accuracy(old, old_vectors, catalogue.examples, both)
    mlflow.log_metrics({"gate/accuracy": new, "gate/champion_accuracy": rest})
    words = f"mean accuracy {new:.4f}, that of version {before.version} {rest:.4f}, on {len(both):,} held-out articles"
    if new > rest:
        set_champion(NAME, version, f"Better: {words}.")
        return f"Champion: {words}."
    return f"Version {before.version} stays champion: {words}."


def register(job: Job, catalogue: Catalogue, tagger: Tagger, rows: Ints, tags: Mapping[str, str]) -> str:
    """Register the tagger with its confusion matrices in the active run; returns the version."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tagger.save(folder)
        draw_all(tagger, catalogue.examples, rows, folder)
        return log_model_folder(NAME, folder, job.settings, tags)


def main(job: Job) -> str:
    if why := why_no_pictures(job):
        return why
    use_tracking(job.settings)
    catalogue = load(job)
    labels = catalogue.examples.labels
    tags = {"inputs": catalogue.digest, "code": str(VERSION), "encoder": catalogue.encoder}
    words = f"{len(catalogue.examples):,} articles, labels {', '.join(labels.classes)}, encoder {catalogue.encoder}"
    if known := find_versions(NAME, **tags):
        return f"{words}: version {known[0].version} was fitted on these; nothing to do"
    with start_run(job.settings, job.name) as tracked:
        tagger, figures, rows = judged(job, catalogue, tracked.info.run_id)
        mlflow.log_metrics({f"{f.split}/{f.system}/{f.label}/{f.metric}": f.value for f in figures})
        version = register(job, catalogue, tagger, rows, tags)
        reason = gate(job, catalogue, tagger, version, rows)
        describe_version(NAME, version, "Figures", f"{reason}\n\n{card(figures)}")
    job.publish(TAGGING_METRICS, figures_table("tagger", figures, job.settings.run_id), {"report": ["tagger"]})
    accuracy = {(f.system, f.label): f.value for f in figures if (f.split, f.metric) == ("product_line", "accuracy")}
    said = ", ".join(
        f"{name} {accuracy['tagger', name]:.3f} (probe {accuracy['linear_probe', name]:.3f}, "
        f"majority {accuracy['majority_class', name]:.3f})"
        for name in labels.classes
        if ("tagger", name) in accuracy
    )
    return "; ".join(
        [f"{words}: version {version}. {reason} Accuracy by product line: {said}", *filter(None, [labels.remark()])]
    )


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
