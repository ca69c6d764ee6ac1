"""The ranking stage: a two-branch network that scores each candidate of a customer.

Source: "Fashion Recommendation System: A Hybrid Deep Learning Approach", step 5 (branches 64-32, joined 32-16-1, binary
cross-entropy; Adam, learning rate 0.001). Departures: the joined part also sees pair features, and sampled negatives
are corrected by the log of their sampling rate (King and Zeng 2001), so that a logit is the log-odds among all
articles.
"""

from __future__ import annotations

from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import BinaryAUROC, BinaryPrecision, BinaryRecall

from lightning_modules.layers import BRANCH_SIZE, Batch, Branch, EpochMean, FeatureInput, dense


class Ranker(pl.LightningModule):
    """Two branches and a joined head that also sees how customer and article relate (pair features).

    Args:
        customer_numeric, article_numeric: numbers of numeric features.
        customer_vocabularies, article_vocabularies: sizes of the category vocabularies.
        pair_size: number of pair features.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        customer_numeric: int,
        customer_vocabularies: list[int],
        article_numeric: int,
        article_vocabularies: list[int],
        pair_size: int,
        learning_rate: float = 0.001,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.customer_branch = Branch(FeatureInput(customer_numeric, customer_vocabularies))
        self.article_branch = Branch(FeatureInput(article_numeric, article_vocabularies))
        self.head = dense([2 * BRANCH_SIZE + pair_size, 32, 16, 1], last_activation=False)
        self.mean_loss = EpochMean()
        self.metrics = nn.ModuleDict({"auc": BinaryAUROC(), "precision": BinaryPrecision(), "recall": BinaryRecall()})

    def join(self, customer: Tensor, article: Tensor, pair: Tensor) -> Tensor:
        """Branch outputs (..., BRANCH_SIZE) twice and pair features (..., pair_size) to logits (...).

        The leading dimensions may be any that broadcast: the head's first layer is applied to each part by itself, so
        that a customer is not repeated for each of its articles.
        """
        first = cast(nn.Linear, self.head[0])
        sizes = [BRANCH_SIZE, BRANCH_SIZE, first.in_features - 2 * BRANCH_SIZE]
        of_customer, of_article, of_pair = first.weight.split(sizes, dim=1)
        hidden = F.linear(pair, of_pair, first.bias) + F.linear(article, of_article) + F.linear(customer, of_customer)
        logits: Tensor = self.head[1:](hidden).squeeze(-1)
        return logits

    def forward(self, batch: Batch) -> Tensor:
        """Log-odds of a purchase within the week for each pair of the batch, shape (n,)."""
        return self.join(
            self.customer_branch(batch["customer_numeric"], batch["customer_categories"]),
            self.article_branch(batch["article_numeric"], batch["article_categories"]),
            batch["pair"],
        )

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Weighted mean of the pairs' binary cross-entropy, and the logits it was computed on (sampling rate
        corrected)."""
        logits = self(batch) - batch["log_sampling_rate"]
        losses = F.binary_cross_entropy_with_logits(logits, batch["label"], batch["weight"], reduction="sum")
        return losses / batch["weight"].sum(), logits

    def training_step(self, batch: Batch, _: int) -> Tensor:
        loss, _logits = self.loss(batch)
        self.mean_loss.add(loss, len(batch["label"]))
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/ranking_loss", self.mean_loss.take())

    def validation_step(self, batch: Batch, _: int) -> None:
        loss, logits = self.loss(batch)
        self.log("val/ranking_loss", loss, batch_size=len(batch["label"]))
        self.log_dict({f"val/{name}": metric for name, metric in self.judge(logits, batch["label"]).items()})

    def judge(self, logits: Tensor, label: Tensor) -> dict[str, Any]:
        """The metrics with these pairs counted in."""
        for metric in self.metrics.values():
            cast(BinaryAUROC, metric).update(torch.sigmoid(logits), label.int())
        return dict(self.metrics.items())

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["learning_rate"])
