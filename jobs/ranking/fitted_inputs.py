"""Fitted inputs: what the networks and trees are given of customers, articles and pairs of a snapshot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jobs.ranking.inputs import TASTES
from jobs.ranking.pairs import Tastes
from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.snapshot import TASTE_IMAGE_DIM, Columns, Floats, Snapshot


@dataclass(frozen=True)
class ArticleInputs:
    """Model inputs of all articles as of a date: numeric without images, category codes, scaled images."""

    numeric: Floats
    categories: npt.NDArray[np.int64]
    images: Floats

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Numeric inputs, images included, and categories, as the networks take them."""
        numeric = np.concatenate([self.numeric, self.images], axis=1)
        return torch.from_numpy(numeric).to(device), torch.from_numpy(self.categories).to(device)


@dataclass(frozen=True)
class Inputs:
    """Turns snapshots into model inputs with statistics fitted on training time.

    Attributes:
        customers, articles, pairs: fitted preprocessing.
        image_scale: what image embeddings are divided by.
        image_limit: the greatest number in them, either way, that training saw.
        encoder: version of the image embeddings; None: the model runs without images.
    """

    customers: Preprocessing
    articles: Preprocessing
    pairs: Preprocessing
    image_scale: float
    encoder: str | None
    image_limit: float = math.inf  # of versions registered without it

    def within(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with customers, articles and images as far as training saw them; what follows is of these."""
        if not self.articles.maxima:
            return snapshot
        clipped = copy(snapshot)
        limit = np.float32(self.image_limit)
        vars(clipped)["images"] = np.clip(snapshot.images, -limit, limit)
        for kind, fitted in (("customers", self.customers), ("articles", self.articles)):
            columns: Columns = getattr(snapshot, kind)
            vars(clipped)[kind] = Columns(fitted.clipped(columns.numeric), columns.categories)
        return clipped

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

    def sizes(self, image_dim: int) -> dict[str, Any]:
        """Sizes of the networks' inputs of customers and articles."""
        sizes = dict(zip(self.articles.vocabularies, self.articles.vocabulary_sizes, strict=True))
        tastes = sum(sizes[name] for name in TASTES) + min(image_dim, TASTE_IMAGE_DIM)
        return {
            "customer_numeric": len(self.customers.means) + tastes,
            "customer_vocabularies": self.customers.vocabulary_sizes,
            "article_numeric": len(self.articles.means) + image_dim,
            "article_vocabularies": self.articles.vocabulary_sizes,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Inputs:
        kinds = {name: Preprocessing.from_dict(data[name]) for name in ("customers", "articles", "pairs")}
        return cls(**{**data, **kinds})
