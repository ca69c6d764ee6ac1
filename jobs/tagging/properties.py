"""A property of articles from their other properties: a feed-forward network, beside boosted trees and the majority.

`predicted_property` names the property: a column of silver/articles or an attribute, boolean or categorical. Pictures
help where they are embedded. Columns that give the answer away, as a code does beside its name, are found first by
their mutual information with it, left out and named. The loss curve and the network lie in the job's MLflow run.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure as Drawing
from safetensors.torch import save_file

from expectations.articles import ARTICLES
from expectations.events import ARTICLE_ATTRIBUTES
from expectations.tagging import TAGGING_METRICS
from jobs.embeddings.product_lines import COLUMNS, product_lines
from jobs.embeddings.versions import current_encoder
from jobs.platform import lightning
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.lightning import RunLogger
from jobs.platform.tracking import start_run, use_tracking
from jobs.tagging.calibration import Floats, Ints
from jobs.tagging.examples import EXAMPLE_TABLES, columns, vectors_of
from jobs.tagging.figures import TagFigure, class_figures, figures_table
from jobs.tagging.labels import labels_of
from jobs.tagging.train import split
from lightning_modules.property_network import Properties, PropertyNetwork
from lightning_modules.tagging_heads import NO_LABEL

READS, WRITES = EXAMPLE_TABLES, (TAGGING_METRICS,)
SETTINGS = (
    *("accept_drift", "data", "mapping", "encoder", "embedding_dim", "seed", "mlflow_tracking_uri"),
    *("predicted_property", "max_epochs"),
)

#: Of the answer's entropy, so much in one column gives it away.
GIVEN_AWAY = 0.95
#: A column with more values than this share of the articles holds names; it is no input.
NAMES = 0.5
BATCH = 128
#: Never inputs: they are about the row, or are free text.
_NOT_INPUTS = {
    *("article_id", "article_key", "prod_name", "detail_desc", "delisted_date", "is_delisted", "replaced_by"),
    "product_code",
}


@dataclass(frozen=True)
class Inputs:
    """What the network sees of n articles: `numeric` float32 [n, d], and `codes` int64 [n, k], 0 for unknown."""

    numeric: Floats
    codes: Ints
    sizes: Sequence[int]
    names: Sequence[str]


def information(codes: Ints, target: Ints, seed: int) -> float:
    """Share of the target's entropy that a column of codes holds, less what as many values hold of a shuffled one."""
    by_chance = _mutual(codes, np.random.default_rng(seed).permutation(target))
    entropy = _mutual(target, target)
    return float((_mutual(codes, target) - by_chance) / max(entropy - by_chance, 1e-9))


def _mutual(a: Ints, b: Ints) -> float:
    """Mutual information in nats."""
    joint = np.unique(a * (b.max() + 1) + b, return_counts=True)[1] / len(a)
    each = [np.unique(x, return_counts=True)[1] / len(x) for x in (a, b)]
    return float((joint * np.log(joint)).sum() - sum((p * np.log(p)).sum() for p in each))


def coded(column: pa.ChunkedArray) -> Ints:
    """Values numbered from 1 in order, 0 for null or blank."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    values = pc.drop_null(pc.unique(text)).sort()
    return pc.add(pc.fill_null(pc.index_in(text, value_set=values), -1), 1).to_numpy().astype(np.int64)


def inputs_of(
    table: Mapping[str, pa.ChunkedArray], target: Ints, numeric: Floats, seed: int
) -> tuple[Inputs, dict[str, float]]:
    """The inputs, and the columns that give the target away with the share of its entropy that they hold."""
    kept, given_away = dict[str, Ints](), dict[str, float]()
    for name, column in table.items():
        codes = coded(column)
        count = len(np.unique(codes))
        if count < 2 or count > NAMES * len(codes):
            continue
        shared = information(codes, target, seed)
        if shared >= GIVEN_AWAY:
            given_away[name] = shared
        else:
            kept[name] = codes
    stacked = np.stack(list(kept.values()), axis=1) if kept else np.zeros((len(target), 0), np.int64)
    sizes = [int(codes.max()) + 1 for codes in kept.values()]
    return Inputs(numeric, stacked, sizes, list(kept)), given_away


def network(inputs: Inputs, target: Ints, parts: tuple[Ints, Ints, Ints], epochs: int, folder: Path, seed: int,
            logger: RunLogger) -> tuple[PropertyNetwork, Ints]:  # fmt: skip
    """The network after its best epoch, and the classes it predicts of the test rows."""
    training, validation, test = parts
    mean, deviation = inputs.numeric[training].mean(0), inputs.numeric[training].std(0)
    numeric = ((inputs.numeric - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    tensors = tuple(torch.from_numpy(values) for values in (numeric, inputs.codes, target))
    some = [tuple(tensor[torch.from_numpy(rows)] for tensor in tensors) for rows in (training, validation)]
    pl.seed_everything(seed, verbose=False)
    module = PropertyNetwork(numeric.shape[1], list(inputs.sizes), int(target.max()) + 1)
    fitted, _ = lightning.fit(module, Properties(some[0], some[1], BATCH, seed), epochs, folder, "val/loss", logger)
    shutil.rmtree(folder, ignore_errors=True)
    with torch.inference_mode():
        logits = fitted(tensors[0][torch.from_numpy(test)], tensors[1][torch.from_numpy(test)])
    return fitted, logits.argmax(1).numpy()


def trees(inputs: Inputs, target: Ints, parts: tuple[Ints, Ints, Ints], seed: int) -> Ints:
    """The classes that LightGBM predicts of the test rows, from the same inputs."""
    training, validation, test = parts
    matrix = np.hstack([inputs.numeric, inputs.codes])
    kinds = list(range(inputs.numeric.shape[1], matrix.shape[1]))
    model = lightgbm.LGBMClassifier(n_estimators=200, random_state=seed, n_jobs=2, verbosity=-1)
    held = validation[np.isin(target[validation], target[training])]  # none of a class that is not in the training
    stop: dict[str, Any] = {"eval_X": matrix[held], "eval_y": target[held]} if len(held) else {}
    stop |= {"callbacks": [lightgbm.early_stopping(20, verbose=False)]} if len(held) else {}
    model.fit(matrix[training], target[training], categorical_feature=kinds, **stop)
    return np.asarray(model.predict(matrix[test]), np.int64)


def draw_losses(run_id: str, path: Path, title: str) -> None:
    """Write the loss curves of the active run as PNG."""
    client = mlflow.MlflowClient()
    drawing = Drawing(figsize=(7, 4.5), layout="constrained")
    axes = drawing.subplots()
    for name in ("train/loss", "val/loss"):
        axes.plot([metric.value for metric in client.get_metric_history(run_id, name)], label=name)
    axes.set(xlabel="epoch", ylabel="cross-entropy", title=title)
    axes.legend(frameon=False)
    drawing.savefig(path, dpi=110)


def main(job: Job) -> str:
    settings, name = job.settings, job.settings.predicted_property
    if not name:
        return "no property named (predicted_property): nothing to predict"
    table = catalogue_columns(job)
    if name not in table or name in ("article_id", "article_key"):
        offered = ", ".join(sorted(set(table) - _NOT_INPUTS))
        raise JobError(f"predicted_property {name}: no such column or attribute of the catalogue; it has {offered}")
    labels = labels_of({name: table[name].cast(pa.string())})
    target = labels.codes[:, 0]
    known = np.flatnonzero(target != NO_LABEL)
    table = {other: column.take(pa.array(known)) for other, column in table.items()}
    target, values = target[known], labels.classes[name]
    others = {other: column for other, column in table.items() if other not in {name, *_NOT_INPUTS}}
    numeric = pictures(job, table["article_id"])
    inputs, given_away = inputs_of(others, target, numeric, settings.seed)
    parts = split(product_lines(pa.table({column: table[column] for column in COLUMNS})))
    with start_run(settings, job.name) as tracked, tempfile.TemporaryDirectory() as scratch:
        mlflow.log_params(
            {"property": name, "inputs": ", ".join(inputs.names)[:500], "given_away": str(given_away)[:500]}
        )
        folder = settings.work_dir / "tagging" / f"property-{name}"
        logger = RunLogger(tracked.info.run_id)
        fitted, said = network(inputs, target, parts, settings.max_epochs, folder, settings.seed, logger)
        majority = np.full(len(parts[2]), np.bincount(target[parts[0]]).argmax())
        systems = {
            "network": said,
            "boosted_tree": trees(inputs, target, parts, settings.seed),
            "majority_class": majority,
        }
        figures = [
            TagFigure(system, name, "product_line", metric, value, len(parts[2]))
            for system, predicted in systems.items()
            for metric, value in class_figures(target[parts[2]], predicted).items()
        ]
        mlflow.log_metrics({f"{f.system}/{f.metric}": f.value for f in figures})
        draw_losses(tracked.info.run_id, Path(scratch, "loss.png"), f"{name} from {len(inputs.names)} other properties")
        save_file(fitted.state_dict(), Path(scratch, "network.safetensors"))
        kept = {"classes": list(values), "inputs": list(inputs.names), "sizes": list(inputs.sizes)}
        Path(scratch, "network.json").write_text(json.dumps(kept, indent=1))
        mlflow.log_artifacts(scratch)
        where = mlflow.get_artifact_uri("loss.png")
    report = f"property {name}"
    job.publish(TAGGING_METRICS, figures_table(report, figures, settings.run_id), {"report": [report]})
    accuracy = ", ".join(f"{f.system} {f.value:.3f}" for f in figures if f.metric == "accuracy")
    left = ", ".join(f"{other} ({shared:.2f})" for other, shared in given_away.items())
    words = f"{name} of {len(target):,} articles, {len(values)} values, from {', '.join(inputs.names) or 'no property'}"
    words += f" and {numeric.shape[1]} numbers of their pictures" if numeric.shape[1] else ", without pictures"
    words += f"; left out because they give it away: {left}" if left else ""
    return f"{words}; accuracy on {len(parts[2]):,} held-out articles: {accuracy}; loss curve {where}"


def catalogue_columns(job: Job) -> dict[str, pa.ChunkedArray]:
    """Every column of silver/articles and every attribute, in order of article id."""
    ids = job.read_arrow(ARTICLES, ["article_id"]).sort_by("article_id")["article_id"].combine_chunks()
    names = [column.name for column in ARTICLES.columns]
    if job.exists(ARTICLE_ATTRIBUTES):
        names += job.read_arrow(ARTICLE_ATTRIBUTES, ["name"])["name"].unique().sort().to_pylist()
    return columns(job, ids, names)


def pictures(job: Job, article_ids: pa.ChunkedArray) -> Floats:
    """Image vectors of these articles, float32 [n, d], zeros where there is no picture; d = 0: none has."""
    use_tracking(job.settings)
    encoder = current_encoder(job.settings)
    ids, vectors = vectors_of(job, encoder)[:2] if encoder else (pa.array([], pa.string()), np.empty((0, 0)))
    found = np.zeros((len(article_ids), vectors.shape[1] if len(vectors) else 0), np.float32)
    place = pc.fill_null(pc.index_in(article_ids, value_set=ids), -1).to_numpy()
    if len(vectors):
        found[place >= 0] = vectors[place[place >= 0]]
    return found


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
