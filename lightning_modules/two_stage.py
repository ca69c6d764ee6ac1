"""The two-stage recommender: two towers for retrieval, a two-branch network for ranking, trained jointly.

Source: "Fashion Recommendation System: A Hybrid Deep Learning Approach", step 5 (towers 128-64-32, L2-normalised;
ranker branches 64-32, joined 32-16-1; Adam, learning rate 0.001). Two departures, both to rank the whole catalogue
honestly: the contrastive loss is an in-batch softmax with logQ correction (Yi et al. 2019), and sampled negatives are
corrected by the log of their sampling rate (King and Zeng 2001), so that a logit is the log-odds among all articles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import BinaryAUROC, BinaryPrecision, BinaryRecall

Batch = Mapping[str, Tensor]


def dense(sizes: Sequence[int], last_activation: bool) -> nn.Sequential:
    """Fully connected layers of these sizes with ReLU between them, and after the last one if asked."""
    layers: list[nn.Module] = []
    for i, (width_in, width_out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(width_in, width_out))
        if last_activation or i < len(sizes) - 2:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


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
    """A query or item tower: features to a 32-d unit vector."""

    def __init__(self, inputs: FeatureInput) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers = dense([inputs.size, 128, 64, 32], last_activation=False)

    def forward(self, numeric: Tensor, categories: Tensor) -> Tensor:
        return F.normalize(self.layers(self.inputs(numeric, categories)), dim=1)


class Branch(nn.Module):
    """A branch of the ranker: features to 32 numbers, computed once per customer or article."""

    def __init__(self, inputs: FeatureInput) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers = dense([inputs.size, 64, 32], last_activation=True)

    def forward(self, numeric: Tensor, categories: Tensor) -> Tensor:
        hidden: Tensor = self.layers(self.inputs(numeric, categories))
        return hidden


class Ranker(nn.Module):
    """Two branches and a joined head that also sees how customer and article relate (pair features)."""

    def __init__(self, customer: FeatureInput, article: FeatureInput, pair_size: int) -> None:
        super().__init__()
        self.customer_branch, self.article_branch = Branch(customer), Branch(article)
        self.head = dense([64 + pair_size, 32, 16, 1], last_activation=False)

    def join(self, customer: Tensor, article: Tensor, pair: Tensor) -> Tensor:
        """Branch outputs (..., 32) twice and pair features (..., pair_size) to logits (...).

        The leading dimensions may be any that broadcast: the head's first layer is applied to each part by itself, so
        that a customer is not repeated for each of its articles.
        """
        first = cast(nn.Linear, self.head[0])
        of_customer, of_article, of_pair = first.weight.split([32, 32, first.in_features - 64], dim=1)
        hidden = F.linear(pair, of_pair, first.bias) + F.linear(article, of_article) + F.linear(customer, of_customer)
        logits: Tensor = self.head[1:](hidden).squeeze(-1)
        return logits


class TwoStageRecommender(pl.LightningModule):
    """Both stages in one module.

    Args:
        customer_numeric, article_numeric: numbers of numeric features.
        customer_vocabularies, article_vocabularies: sizes of the category vocabularies.
        pair_size: number of pair features.
        learning_rate: of Adam.
        temperature: of the retrieval softmax.
        retrieval_weight: weight of the retrieval loss against the ranking loss.
    """

    def __init__(
        self,
        customer_numeric: int,
        customer_vocabularies: list[int],
        article_numeric: int,
        article_vocabularies: list[int],
        pair_size: int,
        learning_rate: float = 0.001,
        temperature: float = 0.1,
        retrieval_weight: float = 0.1,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.query_tower = Tower(FeatureInput(customer_numeric, customer_vocabularies))
        self.item_tower = Tower(FeatureInput(article_numeric, article_vocabularies))
        self.ranker = Ranker(
            FeatureInput(customer_numeric, customer_vocabularies),
            FeatureInput(article_numeric, article_vocabularies),
            pair_size,
        )
        self.metrics = nn.ModuleDict({"auc": BinaryAUROC(), "precision": BinaryPrecision(), "recall": BinaryRecall()})

    def rank(self, batch: Batch) -> Tensor:
        """Log-odds of a purchase within the week for each pair of the batch, shape (n,)."""
        return self.ranker.join(
            self.ranker.customer_branch(batch["customer_numeric"], batch["customer_categories"]),
            self.ranker.article_branch(batch["article_numeric"], batch["article_categories"]),
            batch["pair"],
        )

    def ranking_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Binary cross-entropy of the pairs, and the logits it was computed on (sampling rate corrected)."""
        logits = self.rank(batch) - batch["log_sampling_rate"]
        return F.binary_cross_entropy_with_logits(logits, batch["label"]), logits

    def retrieval_loss(self, batch: Batch) -> Tensor:
        """In-batch softmax: each bought article against every article of the batch.

        The batch holds popular and uniformly drawn articles alike, so each logit is corrected by the log of how often
        its article occurs in a batch (logQ); other pairs of the same article are no negatives.
        """
        positive = torch.nonzero(batch["label"] > 0).squeeze(1)
        if len(positive) == 0:
            return torch.zeros((), device=positive.device)
        queries = self.query_tower(batch["customer_numeric"][positive], batch["customer_categories"][positive])
        items = self.item_tower(batch["article_numeric"], batch["article_categories"])
        logits = queries @ items.T / self.hparams["temperature"] - batch["log_frequency"]
        same = batch["article"][positive][:, None] == batch["article"][None, :]
        same[torch.arange(len(positive), device=positive.device), positive] = False
        return F.cross_entropy(logits.masked_fill(same, float("-inf")), positive)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        ranking, _logits = self.ranking_loss(batch)
        retrieval = self.retrieval_loss(batch)
        loss: Tensor = ranking + self.hparams["retrieval_weight"] * retrieval
        size = len(batch["label"])
        self.log_dict(
            {"train/loss": loss, "train/ranking_loss": ranking, "train/retrieval_loss": retrieval},
            on_step=False,
            on_epoch=True,
            batch_size=size,
        )
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        ranking, logits = self.ranking_loss(batch)
        retrieval = self.retrieval_loss(batch)
        size = len(batch["label"])
        self.log_dict({"val/ranking_loss": ranking, "val/retrieval_loss": retrieval}, batch_size=size)
        for name, metric in self.metrics.items():
            metric.update(torch.sigmoid(logits), batch["label"].int())  # type: ignore[operator]
            self.log(f"val/{name}", metric, on_epoch=True, batch_size=size)  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["learning_rate"])
