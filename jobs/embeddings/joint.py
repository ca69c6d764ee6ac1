"""The joint space of pictures and texts: two heads over their embeddings, trained on the catalogue's own pairs.

They are trained once per retailer and pair of encoders, and again when the catalogue has grown by a quarter. Products
are split: nine tenths less a twentieth are trained on, training stops by the twentieth, and retrieval is measured on
the last tenth. Heads that find nothing better than untrained ones are not registered.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import mlflow
import pyarrow as pa
import pytorch_lightning as pl
import torch
from safetensors.torch import load_file, save_file

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from jobs.embeddings import text_fitting
from jobs.embeddings.article_text import COLUMNS
from jobs.embeddings.encoders import tensors_checksum
from jobs.embeddings.joint_pairs import Split, aligned, pairs
from jobs.embeddings.joint_retrieval import retrieval
from jobs.embeddings.product_lines import product_lines
from jobs.embeddings.text_versions import fitted_text_encoder, newest_known, slice_of
from jobs.embeddings.versions import fitted_encoder, image_folder, no_folder, slice_name
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.lightning import RunLogger, fit
from jobs.platform.settings import Settings
from jobs.platform.tracking import (
    ModelVersion,
    find_versions,
    load_model_folder,
    log_model_folder,
    start_run,
    use_tracking,
)
from lightning_modules.joint_heads import DIMENSIONS, JointHeads, PairData, Pairs

READS, WRITES = (ARTICLES, ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS), ()
SETTINGS = ("data", "mapping", "encoder", "text_encoder", "embedding_dim", "weights_dir", "seed", "mlflow_tracking_uri")

NAME = "joint_encoder"
_IMAGE = ("article_id", "image_status", "image_embedding")
_TEXT = ("article_id", "text_status", "text_checksum", "text_embedding")
_HEADS, _CONFIG = "heads.safetensors", "joint.json"
BATCH, EPOCHS = 1_024, 60
#: Pairs that have to be there for each of training, validation and test.
MIN_PAIRS = 5
#: Heads are trained anew when there are so many times as many pairs.
GROWTH = 1.25
#: By how many times a trained pair of heads has to exceed an untrained one's mean reciprocal rank.
BETTER = 1.5


def slices(settings: Settings) -> tuple[str, str]:
    """The slices of article_embeddings and article_text_embeddings that these settings choose.

    Raises JobError when one of the encoders was never fitted.
    """
    use_tracking(settings)
    image, text = fitted_encoder(settings), fitted_text_encoder(settings)
    if image is None:
        raise JobError(
            f"joint: its image encoder {settings.encoder} was never fitted on these pictures; run embeddings.images"
            f" with --encoder {settings.encoder} first"
        )
    if text is None:
        raise JobError(
            f"joint: its text encoder {settings.text_encoder} was never fitted on these texts; run embeddings.texts"
            f" with --text-encoder {settings.text_encoder} first"
        )
    return slice_name(image, settings), slice_of(text)


def fitted_heads(settings: Settings, **tags: str) -> ModelVersion | None:
    """The newest registered heads with these tags, over whichever encoders; None where there are none.

    As with text encoders, those that were trained for a later as-of date are not of use. Call use_tracking first.
    """
    return newest_known(find_versions(NAME, mapping=settings.mapping, **tags), settings)


def settings_of(version: ModelVersion, settings: Settings) -> Settings:
    """The settings with the encoders that these heads were trained over."""
    chosen = {name: version.tags[name] for name in ("encoder", "text_encoder")}
    return settings.model_copy(update={**chosen, "embedding_dim": int(version.tags["image_size"])})


def load(version: ModelVersion) -> JointHeads:
    """Registered heads, in evaluation mode."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = load_model_folder(version.name, version.version, Path(scratch))
        sizes = json.loads((folder / _CONFIG).read_text())["sizes"]
        heads = JointHeads(**sizes)
        heads.load_state_dict(load_file(folder / _HEADS))
    return heads.eval()


def train(found: Pairs, split: Split, seed: int, folder: Path, logger: RunLogger | None = None) -> JointHeads:
    """Train heads on the split's pairs; `folder` is for checkpoints, from which a killed fit resumes."""
    torch.set_num_threads(1)
    training = found.of(split.training)
    batch = min(BATCH, max(len(training) // 4, 2))
    heads = untrained(found, split, seed, steps=EPOCHS * -(-len(training) // batch))
    data = PairData(training, found.of(split.validation), batch, seed)
    fitted, _ = fit(heads.train(), data, EPOCHS, folder, monitor="val/contrastive_loss", logger=logger)
    return fitted


def untrained(found: Pairs, split: Split, seed: int, steps: int = 1) -> JointHeads:
    """Heads before their training: scaled as the training pairs are, with random weights."""
    pl.seed_everything(seed, verbose=False)
    heads = JointHeads(found.images.shape[1], found.texts.shape[1], steps)
    heads.image_head.set_scale(found.images[split.training])
    heads.text_head.set_scale(found.texts[found.wordings[split.training, 0]])
    return heads.eval()


def require_learned(figures: Mapping[str, float]) -> None:
    """Raise JobError unless the heads retrieve clearly better than untrained ones."""
    for way in ("text_to_image", "image_to_text"):
        got, before = figures[f"test/{way}/mrr"], figures[f"untrained/{way}/mrr"]
        if not got > BETTER * before:
            raise JobError(
                f"joint: trained heads have a mean reciprocal rank of {got:.4f} from {way.replace('_', ' ')},"
                f" untrained ones {before:.4f}: pictures and texts do not belong together; not registered"
            )


def register(job: Job, heads: JointHeads, image: str, text: str, count: int) -> str:
    """Save the heads in the active run and register them; returns the version."""
    checksum = tensors_checksum(heads.state_dict())
    tags = {
        "mapping": job.settings.mapping,
        "encoder": job.settings.encoder,
        "text_encoder": job.settings.text_encoder,
        "image_slice": image,
        "text_slice": text,
        "image_size": str(heads.hparams["image_size"]),
        "checksum": hashlib.sha256(checksum.encode()).hexdigest()[:8],
        "dimensions": str(DIMENSIONS),
        "pairs": str(count),
    }
    sizes = {"image_size": heads.hparams["image_size"], "text_size": heads.hparams["text_size"]}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_file({name: tensor.contiguous() for name, tensor in heads.state_dict().items()}, folder / _HEADS)
        (folder / _CONFIG).write_text(json.dumps({**tags, "sizes": sizes}, indent=2))
        return log_model_folder(NAME, folder, job.settings, tags)


def main(job: Job) -> str:
    settings = job.settings
    use_tracking(settings)
    if fitted_encoder(settings) is None and image_folder(settings) is None:
        return f"{no_folder(settings)}: no space of pictures and texts"
    image, text = slices(settings)
    articles, images, texts = aligned(
        job.read_arrow(ARTICLES, ["article_id", "product_code", *COLUMNS]),
        job.read_arrow(ARTICLE_EMBEDDINGS, list(_IMAGE), {"encoder": [image]}),
        job.read_arrow(ARTICLE_TEXT_EMBEDDINGS, list(_TEXT), {"encoder": [text]}),
    )
    known = fitted_heads(settings, image_slice=image, text_slice=text)
    if known is not None and len(articles) < GROWTH * int(known.tags["pairs"]):
        return f"{len(articles):,} pairs, heads trained on {int(known.tags['pairs']):,}: up to date"
    split = Split.of(pa.array(product_lines(articles), pa.string()))
    if min(len(rows) for rows in vars(split).values()) < MIN_PAIRS:
        raise JobError(f"joint: {len(articles):,} articles with picture and text are too few to train and judge heads")
    with start_run(settings, job.name) as tracked:
        version = text_encoder_version(settings)
        found = pairs(articles, images, texts, text_fitting.load(version, settings))
        folder = settings.work_dir / "joint" / f"{image}-{text}-{settings.as_of_date}"
        heads = train(found, split, settings.seed, folder, RunLogger(tracked.info.run_id))
        test = found.of(split.test)
        figures = {f"test/{name}": value for name, value in retrieval(heads, test).items()}
        before = retrieval(untrained(found, split, settings.seed), test)
        figures |= {f"untrained/{name}": value for name, value in before.items()}
        mlflow.log_params({"pairs": len(found), "held_out": len(test), "image_encoder": image, "text_encoder": text})
        mlflow.log_metrics(figures)
        require_learned(figures)
        number = register(job, heads, image, text, len(found))
        shutil.rmtree(folder, ignore_errors=True)
    said = ", ".join(
        f"{way.replace('_', ' ')} {figures[f'test/{way}/recall_at_1']:.3f} / {figures[f'test/{way}/recall_at_10']:.3f}"
        for way in ("text_to_image", "image_to_text")
    )
    return f"version {number} of {NAME}, {len(found):,} pairs; recall@1 / @10 among {len(test):,} unseen: {said}"


def text_encoder_version(settings: Settings) -> ModelVersion:
    """The registered text encoder, which `slices` has found."""
    version = fitted_text_encoder(settings)
    assert version is not None, "slices() raises where there is none"
    return version


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
