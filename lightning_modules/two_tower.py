"""The retrieval stage: a query tower and an item tower whose dot product says what a customer may buy.

Source of the towers: "Fashion Recommendation System: A Hybrid Deep Learning Approach", step 5 (128-64-32,
L2-normalised; Adam, learning rate 0.001). Losses, one of:

softmax: a sampled softmax over the articles of the batch, each negative divided by how often it is expected there, so
    that a batch's sum estimates that of the whole catalogue (Bengio and Senecal 2008; in-batch: logQ, Yi et al. 2019).
    The purchase itself is no draw: it is not corrected. The batch may hold negatives beside the purchases, drawn
    uniformly (mixed negative sampling; Yang et al. 2020) or from the candidate sources: every customer sees them all.
contrastive: the paper's. It names it and says that it pulls what belongs together closer; margin and form are those of
    Hadsell, Chopra and LeCun (2006), on the pairs of the batch as they are labelled.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.layers import Batch, EpochMean, FeatureInput, Tower

#: Places of the recall that is logged in validation, among the articles of a batch.
RECALL_K = 10


class TwoTower(pl.LightningModule):
    """Both towers and their training.

    Args:
        customer_numeric, article_numeric: numbers of numeric features.
        customer_vocabularies, article_vocabularies: sizes of the category vocabularies.
        loss: "softmax" or "contrastive".
        log_q: times the log of its expected number in the batch that each negative's logit is lowered by: 1 is the
            correction, 0 none, -1 the wrong sign.
        temperature: of the softmax.
        margin: Euclidean distance (of unit vectors, 0 to 2) beyond which a contrastive negative costs nothing.
        article_ids: number of article codes, for an item tower that also learns each article by itself; 0: from its
            features only.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        customer_numeric: int,
        customer_vocabularies: list[int],
        article_numeric: int,
        article_vocabularies: list[int],
        loss: Literal["softmax", "contrastive"] = "softmax",
        log_q: float = 1.0,
        temperature: float = 0.05,
        margin: float = 1.0,
        article_ids: int = 0,
        learning_rate: float = 0.001,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.query_tower = Tower(FeatureInput(customer_numeric, customer_vocabularies))
        self.item_tower = Tower(FeatureInput(article_numeric, article_vocabularies), article_ids)
        self.mean_loss = EpochMean()
        self.log_q, self.temperature, self.margin = log_q, temperature, margin
        self._loss = {"softmax": self.softmax_loss, "contrastive": self.contrastive_loss}[loss]

    def queries(self, batch: Batch, rows: Tensor | slice = slice(None)) -> Tensor:
        """Vectors of the customers of these rows of the batch, (n, d)."""
        return self.query_tower(batch["customer_numeric"][rows], batch["customer_categories"][rows])

    def items(self, batch: Batch) -> Tensor:
        """Vectors of the articles of the batch, (n, d)."""
        return self.item_tower(batch["article_numeric"], batch["article_categories"], batch["article"])

    def loss(self, batch: Batch) -> Tensor:
        """The weighted mean over what the loss is of: purchases (softmax) or pairs (contrastive)."""
        return self._loss(batch)

    def softmax_loss(self, batch: Batch) -> Tensor:
        """Each purchase against every article of the batch that its customer did not buy, by weight."""
        purchase = torch.nonzero(batch["label"] > 0).squeeze(1)
        logits = self.queries(batch, purchase) @ self.items(batch).T / self.temperature
        own = logits.gather(1, purchase[:, None])
        expected = batch["log_frequency"] + math.log(len(batch["label"]))
        corrected = (logits - self.log_q * expected).masked_fill(no_negatives(batch, purchase), -torch.inf)
        losses = F.cross_entropy(corrected.scatter(1, purchase[:, None], own), purchase, reduction="none")
        weight = batch["weight"][purchase]
        return losses @ weight / weight.sum().clamp(min=1e-12)  # a batch without purchase costs nothing

    def contrastive_loss(self, batch: Batch) -> Tensor:
        """Half the squared distance of each pair that was bought, half the squared lack of distance of each other."""
        squared = (self.queries(batch) - self.items(batch)).square().sum(dim=1)
        # The root of zero has no slope.
        lacking = (self.margin - squared.clamp(min=1e-12).sqrt()).clamp(min=0)
        losses = torch.where(batch["label"] > 0, squared, lacking.square()) / 2
        return losses @ batch["weight"] / batch["weight"].sum()

    def recall(self, batch: Batch) -> Tensor:
        """Share of the purchases that are among the RECALL_K best of the batch for their customer; NaN without any."""
        purchase = torch.nonzero(batch["label"] > 0).squeeze(1)
        scores = self.queries(batch, purchase) @ self.items(batch).T
        own = scores.gather(1, purchase[:, None])
        better = (scores > own) & ~no_negatives(batch, purchase)
        return (better.sum(dim=1) < RECALL_K).float().mean()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        loss = self.loss(batch)
        self.mean_loss.add(loss, len(batch["label"]))
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/retrieval_loss", self.mean_loss.take())

    def validation_step(self, batch: Batch, _: int) -> None:
        if purchases := int((batch["label"] > 0).sum()):
            figures = {"val/retrieval_loss": self.loss(batch), "val/recall_in_batch": self.recall(batch)}
            self.log_dict(figures, batch_size=purchases)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["learning_rate"])


def no_negatives(batch: Batch, purchase: Tensor) -> Tensor:
    """Which articles of the batch are no negatives of the purchases in these rows, (purchases, n) bool.

    Those are what the same customer bought that week, as far as the batch knows: the article itself, wherever it
    occurs, and the customer's other purchases.
    """
    customer, article = batch["customer_row"][purchase], batch["article"]
    same_article = (article[purchase][:, None] == article).to(torch.uint8)
    mine, bought_too = torch.nonzero(customer[:, None] == customer, as_tuple=True)
    return torch.zeros_like(same_article).index_add_(0, mine, same_article[bought_too]).bool()
