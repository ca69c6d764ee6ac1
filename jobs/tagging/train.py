"""Fits the tagger: a classifier per label over the vectors of the pictures, and whether it replaces the one before.

With `tuned_blocks` the encoder's last blocks are then trained further with the classifiers; that tagger is taken where
it tags the validation products better.

Labels are those of the mapping. Articles are held out by product line, since variants of one product on both sides of
a split flatter every model; for figures to compare with published ones a second tagger holds them out one by one, and
is thrown away. Beside both stand a linear probe on the same vectors and the majority class. The new tagger becomes
champion where the articles held out from both say that it is better than the champion. What a tagger was fitted on
already is left.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np

from expectations.tagging import TAGGING_METRICS
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
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
from jobs.tagging import tuning
from jobs.tagging.activations import TUNABLE, activations_of, inputs_of
from jobs.tagging.calibration import Floats, Ints
from jobs.tagging.examples import EXAMPLE_TABLES, Catalogue, load, vectors_of, why_no_pictures
from jobs.tagging.figures import TagFigure, card, draw_all, figures_table, majority_figures, tag_figures
from jobs.tagging.fit import fit, linear_probe
from jobs.tagging.labels import TEST, VALIDATION, Examples, parts_of
from jobs.tagging.tagger import Tagger
from lightning_modules.tagging_heads import NO_LABEL

READS, WRITES = EXAMPLE_TABLES, (TAGGING_METRICS,)
SETTINGS = (
    *("accept_drift", "data", "mapping", "encoder", "embedding_dim", "seed", "mlflow_tracking_uri"),
    *("class_weighting", "tuned_blocks"),
)

#: Name in the model registry.
NAME = "article_tagger"
#: To be raised when the same examples are to give another tagger.
VERSION = 3
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


def judged(job: Job, catalogue: Catalogue, work: Path, run_id: str) -> tuple[Tagger, list[TagFigure], Ints]:
    """The tagger, the figures by both splits, and the rows held out by product line."""
    settings, examples, encoder = job.settings, catalogue.examples, catalogue.encoder
    figures, kept, held_out = list[TagFigure](), None, None
    for name, names in (("product_line", catalogue.lines), ("random", catalogue.article_ids.to_pylist())):
        training, validation, test = split(names)
        logged = run_id if name == "product_line" else None
        rows, seed, balances = (training, validation), settings.seed, settings.class_weighting
        frozen = fit(examples, *rows, encoder, work / f"{name}-tagger", seed, balances=balances, run_id=logged)
        probe = linear_probe(frozen, examples, validation)
        systems = {"tagger": frozen, "linear_probe": probe}
        if examples.activations is not None:
            blocks = settings.tuned_blocks
            tuned = tuning.tune(frozen, examples, *rows, blocks, work / f"{name}-tuned", seed, logged)
            errors = {
                system: tuning.error(each, examples, validation)
                for system, each in (("frozen", frozen), ("tuned", tuned))
            }
            mlflow.log_metrics({f"{name}/validation_error/{system}": error for system, error in errors.items()})
            best = tuned if errors["tuned"] < errors["frozen"] else frozen
            systems = {"tagger": best, "frozen": frozen, "linear_probe": probe}
        for system, fitted in systems.items():
            figures += tag_figures(system, name, fitted, examples, test)
        figures += majority_figures(name, examples, training, test)
        if kept is None:
            kept, held_out = systems["tagger"], test
    assert kept is not None and held_out is not None
    return kept, figures, held_out


def mean_accuracy(tagger: Tagger, inputs: Floats, examples: Examples, rows: Ints) -> float:
    """Mean over the labels of the share of tags that are the stated value; 0 for a label that it was not fitted on.

    Args:
        inputs: of those rows, as the tagger takes them.
    """
    found, shares = tagger.likeliest(inputs), []
    for place, (name, values) in enumerate(examples.labels.classes.items()):
        codes = examples.labels.codes[rows, place]
        known = codes != NO_LABEL
        if known.any():
            predicted = found[name][0][known] if name in found else 0
            tags = np.array(tagger.classes.get(name, [""]), dtype=object)[predicted]
            shares.append(float((tags == np.array(values, dtype=object)[codes[known]]).mean()))
    return float(np.mean(shares)) if shares else 0.0


def rival(job: Job, catalogue: Catalogue, version: ModelVersion, rows: Ints) -> tuple[Tagger, Floats, Ints] | None:
    """The champion, what it takes of as many of the held-out rows as its encoder has vectors of, and these rows.

    None where it cannot be compared: no vectors are left, or another version of Atelier made it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = load_model_folder(version.name, version.version, Path(scratch))
        try:
            old = taggers.load(folder)
        except JobError:
            return None
    ids, vectors, checksums = vectors_of(job, old.encoder)
    place = {article: n for n, article in enumerate(ids.to_pylist())}
    both = [row for row in rows.tolist() if catalogue.article_ids[row].as_py() in place]
    if not both:
        return None
    theirs = np.array([place[catalogue.article_ids[row].as_py()] for row in both])
    inputs = inputs_of(job.settings, old, ids.take(theirs).to_pylist(), vectors[theirs], [checksums[n] for n in theirs])
    return old, inputs, np.array(both)


def gate(job: Job, catalogue: Catalogue, tagger: Tagger, version: str, rows: Ints) -> str:
    """Make the version champion if it is better than the champion on the held-out rows; returns the reason."""
    before = champion(NAME)
    against = rival(job, catalogue, before, rows) if before else None
    if before is None or against is None:
        reason = "It is the first." if before is None else f"Version {before.version} cannot be compared."
        set_champion(NAME, version, reason)
        return reason
    old, old_inputs, both = against
    new = mean_accuracy(tagger, tagger.inputs(catalogue.examples, both), catalogue.examples, both)
    rest = mean_accuracy(old, old_inputs, catalogue.examples, both)
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


def with_activations(job: Job, catalogue: Catalogue, work: Path) -> Catalogue:
    """The catalogue with what the encoder's last blocks are tuned on, where they are to be."""
    blocks, count = job.settings.tuned_blocks, len(catalogue.examples)
    if not blocks or job.settings.encoder not in TUNABLE or count < tuning.MIN_PICTURES:
        return catalogue
    ids, file = catalogue.article_ids.to_pylist(), work / "activations.npy"
    activations = activations_of(job.settings, ids, catalogue.checksums, blocks, file)
    return replace(catalogue, examples=replace(catalogue.examples, activations=activations))


def how(tagger: Tagger) -> str:
    """In words, what the encoder is to the tagger."""
    if not tagger.tail:
        return "frozen"
    blocks = "block" if tagger.tuned_blocks == 1 else f"{tagger.tuned_blocks} blocks"
    return f"its last {blocks} trained further"


def main(job: Job) -> str:
    if why := why_no_pictures(job):
        return why
    use_tracking(job.settings)
    catalogue = load(job)
    labels = catalogue.examples.labels
    settings = job.settings
    chosen = f"{settings.tuned_blocks} {settings.class_weighting}"
    tags = {"inputs": catalogue.digest, "code": str(VERSION), "encoder": catalogue.encoder, "settings": chosen}
    words = f"{len(catalogue.examples):,} articles, labels {', '.join(labels.classes)}, encoder {catalogue.encoder}"
    if known := find_versions(NAME, **tags):
        return f"{words}: version {known[0].version} was fitted on these; nothing to do"
    work = settings.work_dir / "tagging" / f"{catalogue.digest}-{VERSION}-{chosen.replace(' ', '')}"
    work.mkdir(parents=True, exist_ok=True)
    with start_run(settings, job.name) as tracked:
        catalogue = with_activations(job, catalogue, work)
        tagger, figures, rows = judged(job, catalogue, work, tracked.info.run_id)
        mlflow.log_metrics({f"{f.split}/{f.system}/{f.label}/{f.metric}": f.value for f in figures})
        version = register(job, catalogue, tagger, rows, tags)
        reason = gate(job, catalogue, tagger, version, rows)
        describe_version(NAME, version, "Figures", f"{reason}\n\n{card(figures)}")
    job.publish(TAGGING_METRICS, figures_table("tagger", figures, job.settings.run_id), {"report": ["tagger"]})
    shutil.rmtree(work, ignore_errors=True)
    said = [f"{words}: version {version}, {how(tagger)}. {reason} Accuracy by product line: {in_words(figures)}"]
    return "; ".join([*said, *filter(None, [labels.remark()])])


def in_words(figures: Sequence[TagFigure]) -> str:
    """Accuracies by label where articles were held out by product line."""
    accuracy = {(f.label, f.system): f.value for f in figures if (f.split, f.metric) == ("product_line", "accuracy")}
    return ", ".join(
        f"{label} {value:.3f} (probe {accuracy[label, 'linear_probe']:.3f},"
        f" majority {accuracy[label, 'majority_class']:.3f})"
        for (label, system), value in accuracy.items()
        if system == "tagger"
    )


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
