"""The layers that the networks of both stages are built of.

Source of their sizes: "Fashion Recommendation System: A Hybrid Deep Learning Approach", step 5 (towers 128-64-32,
L2-normalised; ranker branches 64-32).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: What `lightning_modules.pairs.PairTensors.batch` gives.
Batch = Mapping[str, Tensor]

#: Length of the vectors of a tower, and of a branch of the ranker.
TOWER_SIZE, BRANCH_SIZE = 32, 32


def dense(sizes: Sequence[int], last_activation: bool) -> nn.Sequential:
    """Fully connected layers of these sizes with ReLU between them, and after the last one if asked."""
    layers: list[nn.Module] = []
    for i, (width_in, width_out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(width_in, width_out))
        if last_activation or i < len(sizes) - 2:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class EpochMean(nn.Module):
    """Mean of a training loss over an epoch's batches, by their size, kept on the device until it is asked for.

    `LightningModule.log` in every step costs as much as a small step itself.
    """

    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(()), persistent=False)
        self.count = 0

    def add(self, loss: Tensor, count: int) -> None:
        """Count in a batch's mean loss."""
        self.total += loss.detach() * count
        self.count += count

    def take(self) -> Tensor:
        """The mean so far, and start anew."""
        mean = self.total / max(self.count, 1)
        self.total, self.count = torch.zeros_like(self.total), 0
        return mean


class FeatureInput(nn.Module):
    """Numeric features beside learned embeddings of the categories.

    Args:
        numeric_size: number of numeric features, already standardised.
        vocabulary_sizes: number of codes of each category, code 0 included.
    """

    def __init__(self, numeric_size: int, vocabulary_sizes: Sequence[int]) -> None:
        super().__init__()
        widths = [min(16, 2 + size // 4) for size in vocabulary_sizes]
        self.embeddings = nn.ModuleList(nn.Embedding(s, w) for s, w in zip(vocabulary_sizes, widths, strict=True))
        self.size = numeric_size + sum(widths)

    def forward(self, numeric: Tensor, categories: Tensor) -> Tensor:
        """(n, numeric_size) floats and (n, categories) codes to (n, size)."""
        embedded = [embedding(categories[:, i]) for i, embedding in enumerate(self.embeddings)]
        return torch.cat([numeric, *embedded], dim=1)


class Tower(nn.Module):
    """A query or item tower: features to a unit vector of TOWER_SIZE.

    Args:
        ids: size of an embedding of ids that is added to what the features give; 0: features only. It starts at zero,
            so an id that was never trained is represented by its features alone.
    """

    def __init__(self, inputs: FeatureInput, ids: int = 0) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers = dense([inputs.size, 128, 64, TOWER_SIZE], last_activation=False)
        self.ids = nn.Embedding(ids, TOWER_SIZE) if ids else None
        if self.ids is not None:
            nn.init.zeros_(self.ids.weight)

    def forward(self, numeric: Tensor, categories: Tensor, ids: Tensor | None = None) -> Tensor:
        """(n, ...) features, and (n,) ids where the tower knows them, to (n, TOWER_SIZE)."""
        vectors = self.layers(self.inputs(numeric, categories))
        if self.ids is not None:
            vectors = vectors + self.ids(ids)
        return F.normalize(vectors, dim=1)


class Branch(nn.Module):
    """A branch of the ranker: features to BRANCH_SIZE numbers, computed once per customer or article."""

    def __init__(self, inputs: FeatureInput) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers = dense([inputs.size, 64, BRANCH_SIZE], last_activation=True)

    def forward(self, numeric: Tensor, categories: Tensor) -> Tensor:
        hidden: Tensor = self.layers(self.inputs(numeric, categories))
        return hidden
