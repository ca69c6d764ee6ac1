"""The two-stage recommender of "Fashion Recommendation System: A Hybrid Deep Learning Approach": both trained jointly.

One optimiser minimises the sum of both losses on the same batches (step 5). The weekly runs train the stages one after
the other instead, so that the ranker learns from what the retriever finds.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.layers import Batch
from lightning_modules.ranker import Ranker
from lightning_modules.two_tower import TwoTower


class TwoStageRecommender(pl.LightningModule):
    """Both stages in one module.

    Args:
        customer_numeric, article_numeric: numbers of numeric features.
        customer_vocabularies, article_vocabularies: sizes of the category vocabularies.
        pair_size: number of pair features; the paper has none.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        customer_numeric: int,
        customer_vocabularies: list[int],
        article_numeric: int,
        article_vocabularies: list[int],
        pair_size: int = 0,
        learning_rate: float = 0.001,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        sizes = (customer_numeric, customer_vocabularies, article_numeric, article_vocabularies)
        self.two_tower = TwoTower(*sizes, loss="contrastive")
        self.ranker = Ranker(*sizes, pair_size)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        ranking, _logits = self.ranker.loss(batch)
        retrieval = self.two_tower.loss(batch)
        loss = ranking + retrieval
        figures = {"train/loss": loss, "train/ranking_loss": ranking, "train/retrieval_loss": retrieval}
        self.log_dict(figures, on_step=False, on_epoch=True, batch_size=len(batch["label"]))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        ranking, logits = self.ranker.loss(batch)
        figures = {"val/ranking_loss": ranking, "val/retrieval_loss": self.two_tower.loss(batch)}
        self.log_dict(figures, batch_size=len(batch["label"]))
        self.log_dict({f"val/{name}": metric for name, metric in self.ranker.judge(logits, batch["label"]).items()})

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["learning_rate"])
