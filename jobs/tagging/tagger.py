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
from torch.nn import Module

from jobs.platform.errors import JobError
from jobs.tagging.calibration import Floats, Ints, probabilities
from jobs.tagging.labels import Examples
from lightning_modules.tagging_heads import TaggingHeads
from lightning_modules.tuned_tagger import FEATURES, Lite0Tail

#: Probabilities that are held at a time; pictures whose features are.
PROBABILITIES, PICTURES = 4_000_000, 256
_TAIL, CONFIG = "tail.safetensors", "tagger.json"


@dataclass(frozen=True)
class Tagger:
    """What tags articles by their vectors, and where it has a tail by their pictures.

    Attributes:
        networks: what each of them says is weighed label by label. They take the vectors, or with them the tail's
            features.
        classes: label -> its values, in the order of the networks.
        weights: label -> what each network counts, and last how frequent a class is (see `probabilities`).
        thresholds: of each label.
        encoder: the version of the encoder whose vectors it takes.
        tail: the last blocks of EfficientNet-Lite0 as they were trained further; None: vectors are all it sees.
    """

    networks: Sequence[TaggingHeads]
    classes: Mapping[str, Sequence[str]]
    weights: Mapping[str, Sequence[float]]
    thresholds: Mapping[str, float]
    encoder: str
    tail: Lite0Tail | None = None

    @property
    def tuned_blocks(self) -> int:
        """Blocks of the tail."""
        return len(self.tail.blocks) if self.tail else 0

    def inputs(self, examples: Examples, rows: Ints | slice = slice(None)) -> Floats:
        """What the networks take of these rows, [n, d]."""
        vectors = examples.vectors[rows]
        if self.tail is None:
            return vectors
        assert examples.activations is not None, "activations of its pictures"
        return np.hstack([vectors, features(self.tail, examples.activations, np.arange(len(examples))[rows])])

    def blocks(self, inputs: Floats) -> Iterator[tuple[slice, dict[str, Floats]]]:
        """Rows of inputs [n, d], and the calibrated probabilities [rows, classes] of each label."""
        step = max(PROBABILITIES // sum(self.networks[0].sizes), 1)
        frequency = log_frequencies(self.networks[0])
        for start in range(0, len(inputs), step):
            rows = slice(start, min(start + step, len(inputs)))
            found = [logits_of(network, inputs[rows]) for network in self.networks]
            yield (
                rows,
                {
                    name: probabilities(
                        np.stack([each[name] for each in found]), np.array(self.weights[name]), frequency[name]
                    )
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
        parts: dict[str, Module] = {_file(n): network for n, network in enumerate(self.networks)}
        parts |= {_TAIL: self.tail} if self.tail else {}
        for file, part in parts.items():
            save_file({name: value.contiguous() for name, value in part.state_dict().items()}, folder / file)
        kept: dict[str, Any] = {
            "classes": {name: list(values) for name, values in self.classes.items()},
            "weights": {name: list(values) for name, values in self.weights.items()},
            "thresholds": dict(self.thresholds),
            "encoder": self.encoder,
            "networks": [{name: each.hparams[name] for name in ("hidden", "balance")} for each in self.networks],
            "tuned_blocks": self.tuned_blocks,
        }
        (folder / CONFIG).write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")


def load(folder: Path) -> Tagger:
    """A tagger as `save` left it; JobError where another version of Atelier did."""
    kept = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if "networks" not in kept:
        raise JobError("the registered tagger was made by another version of Atelier; run tagging.train")
    sizes = {name: len(values) for name, values in kept["classes"].items()}
    nothing, networks = [0.0] * sum(sizes.values()), []
    for n, options in enumerate(kept["networks"]):
        tensors = load_file(folder / _file(n))
        width = [0.0] * len(tensors["mean"])
        network = TaggingHeads(sizes, width, width, nothing, steps=1, **options)
        network.load_state_dict(tensors)
        networks.append(network.eval())
    tail = None
    if kept["tuned_blocks"]:
        tail = Lite0Tail(kept["tuned_blocks"])
        tail.load_state_dict(load_file(folder / _TAIL))
        tail.eval()
    names = ("classes", "weights", "thresholds", "encoder")
    return Tagger(networks, **{name: kept[name] for name in names}, tail=tail)


def _file(number: int) -> str:
    return f"network_{number}.safetensors"


def log_frequencies(network: TaggingHeads) -> dict[str, Floats]:
    """Of each label, the logs of its classes' shares among the articles trained on."""
    parts = network.log_frequency.double().split(network.sizes)
    return {name: part.numpy() for name, part in zip(network.hparams["classes"], parts, strict=True)}


def logits_of(network: TaggingHeads, inputs: Floats) -> dict[str, Floats]:
    """Logits of each label, [n, classes], as if all articles had weighed alike in training.

    Of the inputs [n, d] it takes the first, as many as it is wide.

    A class of weight w is learned w times as likely as it is, so log w is taken off ("Long-Tail Learning via Logit
    Adjustment", 3).
    """
    with torch.inference_mode():
        own = np.ascontiguousarray(inputs[:, : len(network.mean)], np.float32)
        found = network.eval()(torch.from_numpy(own)) - network.log_weight
    parts = found.double().numpy()
    ends = np.cumsum(network.sizes)[:-1]
    return dict(zip(network.hparams["classes"], np.split(parts, ends, axis=1), strict=True))


def features(tail: Lite0Tail, activations: Floats, rows: Ints) -> Floats:
    """What a tail makes of these rows of activations [n, c, h, w], float32 [rows, k]."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), PICTURES):
            some = np.asarray(activations[rows[start : start + PICTURES]], np.float32)
            found.append(tail.eval()(torch.from_numpy(some)).numpy())
    return np.concatenate(found) if found else np.empty((0, FEATURES), np.float32)
