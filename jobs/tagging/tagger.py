"""A fitted tagger: the heads, what their logits mean, and how it is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from jobs.tagging.calibration import Floats, Ints, probabilities
from lightning_modules.tagging_heads import TaggingHeads

#: Articles whose probabilities are held at a time.
BLOCK = 2_048
_HEADS, _CONFIG = "heads.safetensors", "tagger.json"


@dataclass(frozen=True)
class Tagger:
    """What tags articles by their vectors.

    Attributes:
        heads: the network.
        classes: label -> its values, in the order of the heads.
        temperatures, thresholds: of each label.
        encoder: the version of the encoder whose vectors it takes.
    """

    heads: TaggingHeads
    classes: Mapping[str, Sequence[str]]
    temperatures: Mapping[str, float]
    thresholds: Mapping[str, float]
    encoder: str

    def blocks(self, vectors: Floats) -> Iterator[tuple[slice, dict[str, Floats]]]:
        """Rows of vectors [n, d], and the calibrated probabilities [rows, classes] of each label."""
        for start in range(0, len(vectors), BLOCK):
            rows = slice(start, min(start + BLOCK, len(vectors)))
            found = logits_of(self.heads, vectors[rows])
            yield rows, {name: probabilities(found[name], self.temperatures[name]) for name in self.classes}

    def likeliest(self, vectors: Floats) -> dict[str, tuple[Ints, Floats]]:
        """Of each label the likeliest class of each article, and its probability, both [n]."""
        code = {name: np.zeros(len(vectors), np.int64) for name in self.classes}
        probability = {name: np.zeros(len(vectors)) for name in self.classes}
        for rows, found in self.blocks(vectors):
            for name, shares in found.items():
                code[name][rows], probability[name][rows] = shares.argmax(1), shares.max(1)
        return {name: (code[name], probability[name]) for name in self.classes}

    def save(self, folder: Path) -> None:
        """Write it as plain files: tensors and JSON."""
        save_file({name: value.contiguous() for name, value in self.heads.state_dict().items()}, folder / _HEADS)
        kept: dict[str, Any] = {
            "classes": {name: list(values) for name, values in self.classes.items()},
            "temperatures": dict(self.temperatures),
            "thresholds": dict(self.thresholds),
            "encoder": self.encoder,
            "hidden": self.heads.hparams["hidden"],
        }
        (folder / _CONFIG).write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")


def load(folder: Path) -> Tagger:
    """A tagger as `save` left it."""
    kept = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    tensors = load_file(folder / _HEADS)
    sizes = {name: len(values) for name, values in kept["classes"].items()}
    nothing = [0.0] * sum(sizes.values())
    width = [0.0] * len(tensors["mean"])
    heads = TaggingHeads(sizes, width, width, nothing, steps=1, hidden=kept["hidden"])
    heads.load_state_dict(tensors)
    names = ("classes", "temperatures", "thresholds", "encoder")
    return Tagger(heads.eval(), **{name: kept[name] for name in names})


def logits_of(heads: TaggingHeads, vectors: Floats) -> dict[str, Floats]:
    """Logits of each label, [n, classes], as if all articles had weighed alike in training.

    A class of weight w is learned w times as likely as it is, so log w is taken off ("Long-Tail Learning via Logit
    Adjustment", 3).
    """
    with torch.inference_mode():
        found = heads.eval()(torch.from_numpy(np.ascontiguousarray(vectors, np.float32))) - heads.log_weight
    parts = found.double().numpy()
    ends = np.cumsum(heads.sizes)[:-1]
    return dict(zip(heads.hparams["classes"], np.split(parts, ends, axis=1), strict=True))
