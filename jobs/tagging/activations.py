"""What EfficientNet-Lite0 gives of pictures up to its last blocks, computed once: the rest is what a tagger tunes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from jobs.embeddings import stream
from jobs.embeddings.efficientnet import trunk, trunk_shape
from jobs.embeddings.feature_store import FeatureStore
from jobs.embeddings.stream import Pictures
from jobs.embeddings.versions import image_folder
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.tagging.calibration import Floats
from jobs.tagging.labels import Examples, Labels
from jobs.tagging.tagger import Tagger

#: Encoders whose network the tail is of.
TUNABLE = ("efficientnet_lite0", "efficientnet_lite0_colour")


def activations_of(
    settings: Settings, article_ids: Sequence[str], checksums: Sequence[str], blocks: int, file: Path
) -> Floats:
    """Float16 [n, c, h, w] of these articles' pictures, in a file that is read as it is needed.

    What a killed run had computed, or the run before for other articles, is in the work folder.

    Args:
        settings: where pictures and work folder are.
        article_ids: of the articles.
        checksums: of their pictures, as they were embedded.
        blocks: that are left out.
        file: written here; 19 kB a picture with one block left out.

    Raises:
        JobError: pictures changed since they were embedded.
    """
    folder = image_folder(settings)
    assert folder is not None, "there were pictures to embed"
    encoder, place = trunk(blocks), dict[str, list[int]]()
    for row, checksum in enumerate(checksums):
        place.setdefault(checksum, []).append(row)
    store = FeatureStore.of(encoder, settings)
    known = store.outcomes()
    missing = [rows[0] for checksum, rows in place.items() if checksum not in known]
    if missing:
        paths = [folder.path(article_ids[row]) for row in missing]
        pictures = Pictures(paths, [checksums[row] for row in missing], folder.roots, encoder)
        stream.embed(pictures, store, max_broken=0)
    shape = trunk_shape(blocks)
    found = np.lib.format.open_memmap(file, "w+", np.float16, (len(checksums), *shape))
    written = 0
    for names, values in store.blocks(place):
        for name, value in zip(names, values.reshape(-1, math.prod(shape)), strict=True):
            found[place[name]] = value.reshape(shape)
            written += len(place[name])
    if written < len(checksums):
        forget(settings, blocks)
        raise JobError(
            f"{len(checksums) - written:,} of {len(checksums):,} pictures are not what they were when they were"
            " embedded; run embeddings.images again"
        )
    found.flush()
    return np.load(file, mmap_mode="c")


def inputs_of(
    settings: Settings, tagger: Tagger, article_ids: Sequence[str], vectors: Floats, checksums: Sequence[str]
) -> Floats:
    """What a tagger's heads take of articles with these vectors and pictures; see `activations_of`."""
    examples = Examples(vectors, Labels({}, np.empty((len(vectors), 0), np.int64), {}))
    if not tagger.tail or not len(vectors):
        return vectors
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.work_dir) as scratch:
        file = Path(scratch, "activations.npy")
        found = activations_of(settings, article_ids, checksums, tagger.tuned_blocks, file)
        return tagger.inputs(replace(examples, activations=found))


def forget(settings: Settings, blocks: int) -> None:
    """Remove what was computed."""
    FeatureStore.of(trunk(blocks), settings).remove()
