"""The two-stage model as it is saved, loaded and applied: network weights, fitted preprocessing, encoder version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy import sparse

from jobs.platform.errors import JobError
from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.retrieval.purchases import Ints, day_number
from lightning_modules.two_stage import TwoStageRecommender

#: Attributes whose shares in a customer's history describe the customer, as inputs of tower and branch.
TASTES = ("index_group_name", "product_group_name", "perceived_colour_master_name", "garment_group_name")
#: Attributes for which a pair feature says how much of the history has the article's own value.
AFFINITIES = (*TASTES, "product_type_name", "department_name", "section_name", "colour_group_name")
#: Leading PCA components that stand for an image where customers and articles are compared.
TASTE_IMAGE_DIM = 32
PAIR_FEATURES = (
    "bought_units",
    "bought_recency",
    "product_bought_units",
    "product_bought_recency",
    "price_difference",
    "image_similarity",
    *(f"{name}_affinity" for name in AFFINITIES),
)

WEIGHTS, CONFIG = "model.safetensors", "model.json"


@dataclass(frozen=True)
class CustomerBlock:
    """Model inputs of some customers.

    Attributes:
        customers: their codes, (n,).
        numeric, categories: inputs of tower and branch, (n, ...).
        shares: per affinity attribute, the share of each vocabulary code in the history, (n, codes).
        image: unit mean image of the history, (n, d); zero without one.
    """

    customers: Ints
    numeric: Floats
    categories: np.ndarray
    shares: dict[str, Floats]
    image: Floats


@dataclass(frozen=True)
class ArticleInputs:
    """Model inputs of all articles as of a date: numeric without images, category codes, scaled images, unit images
    (leading components), mean prices."""

    numeric: Floats
    categories: np.ndarray
    images: Floats
    unit_images: Floats
    price: Floats


@dataclass(frozen=True)
class Inputs:
    """Turns snapshots into model inputs with statistics fitted on training time.

    Attributes:
        customers, articles: fitted preprocessing.
        image_scale: what image embeddings are divided by.
        encoder: version of the image embeddings; None: the model runs without images.
    """

    customers: Preprocessing
    articles: Preprocessing
    image_scale: float
    encoder: str | None

    def article_inputs(self, snapshot: Snapshot) -> ArticleInputs:
        """Inputs of every article, by code."""
        codes = np.arange(len(snapshot.product))
        leading = snapshot.images[:, :TASTE_IMAGE_DIM]
        norm = np.linalg.norm(leading, axis=1, keepdims=True)
        return ArticleInputs(
            numeric=self.articles.numeric(snapshot.articles, codes),
            categories=self.articles.categories(snapshot.articles, codes),
            images=snapshot.images / np.float32(self.image_scale),
            unit_images=leading / np.maximum(norm, 1e-12),
            price=snapshot.articles.numeric["price_mean"],
        )

    def customer_block(self, snapshot: Snapshot, articles: ArticleInputs, customers: Ints) -> CustomerBlock:
        """Inputs of these customers; a customer without history has medians and empty tastes."""
        weights = snapshot.weights[customers]
        names = list(self.articles.vocabularies)
        shares = {}
        for name in AFFINITIES:
            column = names.index(name)
            codes, size = articles.categories[:, column], self.articles.vocabulary_sizes[column]
            ones = np.ones(len(codes), dtype=np.float32)
            shares[name] = (
                weights @ sparse.csr_matrix((ones, (np.arange(len(codes)), codes)), (len(codes), size))
            ).toarray()
        image = weights @ articles.unit_images
        image = image / np.maximum(np.linalg.norm(image, axis=1, keepdims=True), 1e-12)
        numeric = self.customers.numeric(snapshot.customers, customers)
        tastes = [shares[name] for name in TASTES]
        return CustomerBlock(
            customers=customers,
            numeric=np.concatenate([numeric, *tastes, image], axis=1, dtype=np.float32),
            categories=self.customers.categories(snapshot.customers, customers),
            shares=shares,
            image=image,
        )

    def pair_features(
        self, snapshot: Snapshot, articles: ArticleInputs, block: CustomerBlock, row: np.ndarray, article: Ints
    ) -> Floats:
        """How block rows and articles relate.

        Args:
            row: positions in the block, any shape.
            article: article codes, same shape.

        Returns:
            shape (*row.shape, len(PAIR_FEATURES)), in the order of PAIR_FEATURES.
        """
        customer = block.customers[row]
        today = day_number(snapshot.as_of_date)
        features: list[np.ndarray] = []
        for history, thing in ((snapshot.bought, article), (snapshot.bought_product, snapshot.product[article])):
            units, last_day = history.look_up(customer, thing)
            features += [np.log1p(units), np.where(units > 0, np.exp2(-(today - last_day) / 14), 0)]
        price = snapshot.customers.numeric["price_mean"][customer]
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = np.log(articles.price[article] / price)
        features.append(np.where(np.isfinite(difference), difference, 0))
        features.append(np.einsum("...d,...d->...", block.image[row], articles.unit_images[article]))
        names = list(self.articles.vocabularies)
        for name in AFFINITIES:
            features.append(block.shares[name][row, articles.categories[article, names.index(name)]])
        return np.stack(features, axis=-1).astype(np.float32)

    def hyperparameters(self, image_dim: int) -> dict[str, int | list[int]]:
        """Sizes of the network's inputs."""
        sizes = dict(zip(self.articles.vocabularies, self.articles.vocabulary_sizes, strict=True))
        tastes = sum(sizes[name] for name in TASTES) + min(image_dim, TASTE_IMAGE_DIM)
        return {
            "customer_numeric": len(self.customers.means) + tastes,
            "customer_vocabularies": self.customers.vocabulary_sizes,
            "article_numeric": len(self.articles.means) + image_dim,
            "article_vocabularies": self.articles.vocabulary_sizes,
            "pair_size": len(PAIR_FEATURES),
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
            "pair_features": PAIR_FEATURES,
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=1))

    @classmethod
    def load(cls, folder: Path) -> TwoStageModel:
        """Read what `save` wrote; raises JobError when it was written for other pair features."""
        config = json.loads((folder / CONFIG).read_text())
        if tuple(config["pair_features"]) != PAIR_FEATURES:
            raise JobError(f"{folder.name}: the model was trained with other pair features; train it again")
        network = TwoStageRecommender(**config["network"])
        network.load_state_dict(load_file(folder / WEIGHTS))
        network.eval()
        inputs = Inputs(
            Preprocessing.from_dict(config["customers"]),
            Preprocessing.from_dict(config["articles"]),
            config["image_scale"],
            config["encoder"],
        )
        return cls(inputs, network)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
