"""The two-stage model as it is saved, loaded and applied: network weights, fitted preprocessing, encoder version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file

from jobs.platform.errors import JobError
from jobs.ranking.inputs import INPUTS, TASTES
from jobs.ranking.pairs import Tastes
from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.snapshot import TASTE_IMAGE_DIM, Floats, Snapshot
from lightning_modules.two_stage import TwoStageRecommender

WEIGHTS, CONFIG = "model.safetensors", "model.json"


@dataclass(frozen=True)
class ArticleInputs:
    """Model inputs of all articles as of a date: numeric without images, category codes, scaled images."""

    numeric: Floats
    categories: npt.NDArray[np.int64]
    images: Floats


@dataclass(frozen=True)
class Inputs:
    """Turns snapshots into model inputs with statistics fitted on training time.

    Attributes:
        customers, articles, pairs: fitted preprocessing.
        image_scale: what image embeddings are divided by.
        encoder: version of the image embeddings; None: the model runs without images.
    """

    customers: Preprocessing
    articles: Preprocessing
    pairs: Preprocessing
    image_scale: float
    encoder: str | None

    def article_inputs(self, snapshot: Snapshot) -> ArticleInputs:
        """Inputs of every article, by code."""
        codes = np.arange(len(snapshot.product))
        return ArticleInputs(
            numeric=self.articles.numeric(snapshot.articles, codes),
            categories=self.articles.categories(snapshot.articles, codes),
            images=snapshot.images / np.float32(self.image_scale),
        )

    def customer_inputs(self, snapshot: Snapshot, tastes: Tastes) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Numeric inputs and category codes of the customers of `tastes`, (n, ...) each."""
        numeric = self.customers.numeric(snapshot.customers, tastes.customers)
        shares = [tastes.shares[name] @ self._vocabulary_one_hot(snapshot, name) for name in TASTES]
        inputs = np.concatenate([numeric, *shares, tastes.image], axis=1, dtype=np.float32)
        return inputs, self.customers.categories(snapshot.customers, tastes.customers)

    def _vocabulary_one_hot(self, snapshot: Snapshot, name: str) -> Floats:
        """Which vocabulary code each of the snapshot's codes of a category is, (codes, vocabulary codes)."""
        values, first = np.unique(snapshot.codes(name), return_index=True)
        column = list(self.articles.vocabularies).index(name)
        one_hot = np.zeros((len(values), self.articles.vocabulary_sizes[column]), dtype=np.float32)
        one_hot[values, self.articles.categories(snapshot.articles, first)[:, column]] = 1
        return one_hot

    def hyperparameters(self, image_dim: int) -> dict[str, int | list[int]]:
        """Sizes of the network's inputs."""
        sizes = dict(zip(self.articles.vocabularies, self.articles.vocabulary_sizes, strict=True))
        tastes = sum(sizes[name] for name in TASTES) + min(image_dim, TASTE_IMAGE_DIM)
        return {
            "customer_numeric": len(self.customers.means) + tastes,
            "customer_vocabularies": self.customers.vocabulary_sizes,
            "article_numeric": len(self.articles.means) + image_dim,
            "article_vocabularies": self.articles.vocabulary_sizes,
            "pair_size": len(self.pairs.means),
        }


@dataclass(frozen=True)
class TwoStageModel:
    """A fitted network with the inputs it was fitted on."""

    inputs: Inputs
    network: TwoStageRecommender

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and configuration (JSON) into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.network.state_dict(), folder / WEIGHTS)
        config = {
            "network": dict(self.network.hparams),
            "customers": self.inputs.customers.to_dict(),
            "articles": self.inputs.articles.to_dict(),
            "image_scale": self.inputs.image_scale,
            "encoder": self.inputs.encoder,
            "pairs": self.inputs.pairs.to_dict(),
            "inputs": INPUTS,
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=1))

    @classmethod
    def load(cls, folder: Path) -> TwoStageModel:
        """Read what `save` wrote; raises JobError when the model was trained with other inputs."""
        config = json.loads((folder / CONFIG).read_text())
        theirs, ours = config.get("inputs", {}), {kind: list(names) for kind, names in INPUTS.items()}
        if theirs != ours:
            changes = _changes(theirs, ours)
            raise JobError(
                f"the registered model's {folder.name} fit was trained with other inputs than this code's ({changes}); "
                "run ranking.train again"
            )
        network = TwoStageRecommender(**config["network"])
        network.load_state_dict(load_file(folder / WEIGHTS))
        network.eval()
        inputs = Inputs(
            Preprocessing.from_dict(config["customers"]),
            Preprocessing.from_dict(config["articles"]),
            Preprocessing.from_dict(config["pairs"]),
            config["image_scale"],
            config["encoder"],
        )
        return cls(inputs, network)


def _changes(theirs: Mapping[str, Sequence[str]], ours: Mapping[str, Sequence[str]]) -> str:
    """What one list of inputs has and the other has not, in a few words."""
    if not theirs:
        return "it does not say which"
    before, now = ({f"{kind}.{name}" for kind, names in side.items() for name in names} for side in (theirs, ours))
    changes = [
        f"{word} {', '.join(sorted(names))}"
        for word, names in (("gone:", before - now), ("new:", now - before))
        if names
    ]
    return "; ".join(changes) or "in another order"


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
