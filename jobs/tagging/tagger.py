"""A fitted tagger: its network, what its logits mean, and how it is kept."""

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
from jobs.tagging.labels import Examples
from lightning_modules.tagging_heads import TaggingHeads
from lightning_modules.tuned_tagger import FEATURES, Lite0Tail

#: Probabilities that are held at a time; pictures whose features are.
PROBABILITIES, PICTURES = 4_000_000, 256
_HEADS, _TAIL, CONFIG = "heads.safetensors", "tail.safetensors", "tagger.json"


@dataclass(frozen=True)
class Tagger:
    """What tags articles by their vectors, and where it has a tail by their pictures.

    Attributes:
        heads: the network.
        classes: label -> its values, in the order of the heads.
        temperatures, thresholds: of each label.
        encoder: the version of the encoder whose vectors it takes.
        tail: the last blocks of EfficientNet-Lite0 as they were trained further; None: vectors are all it sees.
    """

    heads: TaggingHeads
    classes: Mapping[str, Sequence[str]]
    temperatures: Mapping[str, float]
    thresholds: Mapping[str, float]
    encoder: str
    tail: Lite0Tail | None = None

    @property
    def tuned_blocks(self) -> int:
        """Blocks of the tail."""
        return len(self.tail.blocks) if self.tail else 0

    def inputs(self, examples: Examples, rows: Ints | slice = slice(None)) -> Floats:
        """What the heads take of these rows, [n, d]."""
        vectors = examples.vectors[rows]
        if self.tail is None:
            return vectors
        assert examples.activations is not None, "activations of its pictures"
        return np.hstack([vectors, features(self.tail, examples.activations, np.arange(len(examples))[rows])])

    def blocks(self, inputs: Floats) -> Iterator[tuple[slice, dict[str, Floats]]]:
        """Rows of inputs [n, d], and the calibrated probabilities [rows, classes] of each label."""
        step = max(PROBABILITIES // sum(self.heads.sizes), 1)
        frequency = dict(zip(self.classes, self.heads.log_frequency.split(self.heads.sizes), strict=True))
        for start in range(0, len(inputs), step):
            rows = slice(start, min(start + step, len(inputs)))
            found = logits_of(self.heads, inputs[rows])
            yield (
                rows,
                {
                    name: probabilities(found[name], self.temperatures[name], frequency[name].double().numpy())
                    for name in self.classes
                },
            )

    def likeliest(self, inputs: Floats) -> dict[str, tuple[Ints, Floats]]:
        """Of each label the likeliest class of each article, and its probability, both [n]."""
        code = {name: np.zeros(len(inputs), np.int64) for name in self.classes}
        probability = {name: np.zeros(len(inputs)) for name in self.classes}
        for rows, found in self.blocks(inputs):
            for name, shares in found.items():
                code[name][rows], probability[name][rows] = shares.argmax(1), shares.max(1)
        return {name: (code[name], probability[name]) for name in self.classes}

    def save(self, folder: Path) -> None:
        """Write it as plain files: tensors and JSON, the latter last."""
        folder.mkdir(parents=True, exist_ok=True)
        for file, network in ((_HEADS, self.heads), (_TAIL, self.tail)):
            if network is not None:
                save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / file)
        kept: dict[str, Any] = {
            "classes": {name: list(values) for name, values in self.classes.items()},
            "temperatures": dict(self.temperatures),
            "thresholds": dict(self.thresholds),
            "encoder": self.encoder,
            **{name: self.heads.hparams[name] for name in ("hidden", "balance")},
            "tuned_blocks": self.tuned_blocks,
        }
        (folder / CONFIG).write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")


def load(folder: Path) -> Tagger:
    """A tagger as `save` left it."""
    kept = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    tensors = load_file(folder / _HEADS)
    sizes = {name: len(values) for name, values in kept["classes"].items()}
    nothing = [0.0] * sum(sizes.values())
    width = [0.0] * len(tensors["mean"])
    heads = TaggingHeads(sizes, width, width, nothing, steps=1, hidden=kept["hidden"], balance=kept["balance"])
    heads.load_state_dict(tensors)
    tail = None
    if kept["tuned_blocks"]:
        tail = Lite0Tail(kept["tuned_blocks"])
        tail.load_state_dict(load_file(folder / _TAIL))
        tail.eval()
    names = ("classes", "temperatures", "thresholds", "encoder")
    return Tagger(heads.eval(), **{name: kept[name] for name in names}, tail=tail)


def logits_of(heads: TaggingHeads, inputs: Floats) -> dict[str, Floats]:
    """Logits of each label, [n, classes], as if all articles had weighed alike in training.

    A class of weight w is learned w times as likely as it is, so log w is taken off ("Long-Tail Learning via Logit
    Adjustment", 3).
    """
    with torch.inference_mode():
        found = heads.eval()(torch.from_numpy(np.ascontiguousarray(inputs, np.float32))) - heads.log_weight
    parts = found.double().numpy()
    ends = np.cumsum(heads.sizes)[:-1]
    return dict(zip(heads.hparams["classes"], np.split(parts, ends, axis=1), strict=True))


def features(tail: Lite0Tail, activations: Floats, rows: Ints) -> Floats:
    """What a tail makes of these rows of activations [n, c, h, w], float32 [rows, k]."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), PICTURES):
            some = np.asarray(activations[rows[start : start + PICTURES]], np.float32)
            found.append(tail.eval()(torch.from_numpy(some)).numpy())
    return np.concatenate(found) if found else np.empty((0, FEATURES), np.float32)
