"""Training pairs as tensors, and a DataModule that cuts whole batches out of them.

A `Dataset` of single rows costs an order of magnitude on small tensors; here one batch is one index operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytorch_lightning as pl
import torch
from torch import Tensor


@dataclass(frozen=True)
class PairTensors:
    """Customer-article pairs that refer to rows of shared feature tables, so that no feature is repeated per pair.

    Attributes:
        customer_row, article_row: rows of the customer and article tables, (n,) int64; a customer has a row per week.
        article: article codes, equal for the same article in different weeks, (n,) int64.
        label: 1.0 bought, 0.0 not, (n,).
        log_sampling_rate: log of the rate at which pairs of this pair's stratum were kept as negatives, (n,).
        log_frequency: log of the article's share among all pairs, (n,).
        pair: pair features, (n, p).
        customer_numeric, customer_categories: (customer rows, ...) features.
        article_numeric, article_categories: (article rows, ...) features; numeric without the image embedding.
        image_row: row of `images` of each article row, (article rows,) int64.
        images: image embeddings, (articles, d); d may be 0.
        weight: of the pair in the losses, such as by recency, (n,) or one for all.
    """

    customer_row: Tensor
    article_row: Tensor
    article: Tensor
    label: Tensor
    log_sampling_rate: Tensor
    log_frequency: Tensor
    pair: Tensor
    customer_numeric: Tensor
    customer_categories: Tensor
    article_numeric: Tensor
    article_categories: Tensor
    image_row: Tensor
    images: Tensor
    weight: Tensor = field(default_factory=lambda: torch.ones(1))

    def __len__(self) -> int:
        return len(self.label)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """The pairs at `index` with their features, as the module takes them."""
        customer, article = self.customer_row[index], self.article_row[index]
        return {
            "customer_row": customer,
            "customer_numeric": self.customer_numeric[customer],
            "customer_categories": self.customer_categories[customer],
            "article_numeric": torch.cat([self.article_numeric[article], self.images[self.image_row[article]]], dim=1),
            "article_categories": self.article_categories[article],
            "article": self.article[index],
            "pair": self.pair[index],
            "label": self.label[index],
            "log_sampling_rate": self.log_sampling_rate[index],
            "log_frequency": self.log_frequency[index],
            "weight": self.weight.expand(len(self))[index],
        }

    def to(self, device: torch.device) -> PairTensors:
        """The same pairs on a device."""
        return replace(self, **{name: values.to(device) for name, values in vars(self).items()})

    def select(self, rows: Tensor) -> PairTensors:
        """The pairs at `rows`, in that order, with the articles' frequencies among them."""
        chosen = {name: getattr(self, name)[rows] for name in PER_PAIR} | {
            "weight": self.weight.expand(len(self))[rows]
        }
        return replace(self, **chosen, log_frequency=log_frequency(self.article[rows]))


#: Fields of PairTensors with an element per pair.
PER_PAIR = ("customer_row", "article_row", "article", "label", "log_sampling_rate", "pair")


def log_frequency(article: Tensor) -> Tensor:
    """Log of each article's share of these pairs, (n,)."""
    return torch.log(torch.bincount(article)[article] / len(article))


class BatchSlices:
    """Whole batches of `pairs`; shuffled anew each epoch by seed and epoch alone, so that a resumed run repeats it."""

    def __init__(self, pairs: PairTensors, batch_size: int, seed: int) -> None:
        self.pairs, self.batch_size, self.seed = pairs, batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.pairs) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        # Drawn on the processor, so that every device sees the same order.
        order = torch.randperm(len(self.pairs), generator=torch.Generator().manual_seed(self.seed + self.epoch))
        for rows in order.to(self.pairs.label.device).split(self.batch_size):
            yield self.pairs.batch(rows)


class PairDataModule(pl.LightningDataModule):
    """Training and validation pairs of one fit; `validation` None for a fit on every week.

    The pairs are moved to the trainer's device once; batches are cut there.
    """

    def __init__(self, training: PairTensors, validation: PairTensors | None, batch_size: int, seed: int) -> None:
        super().__init__()
        self.training, self.validation = training, validation
        self.batch_size, self.seed = batch_size, seed

    def setup(self, stage: str) -> None:
        if self.trainer:
            device = self.trainer.strategy.root_device
            self.training = self.training.to(device)
            self.validation = self.validation and self.validation.to(device)

    def train_dataloader(self) -> BatchSlices:
        slices = BatchSlices(self.training, self.batch_size, self.seed)
        slices.epoch = self.trainer.current_epoch if self.trainer else 0
        return slices

    def val_dataloader(self) -> list[BatchSlices]:
        # Shuffled, because a purchase is judged against its batch; the same way in each epoch.
        return [] if self.validation is None else [BatchSlices(self.validation, self.batch_size, self.seed)]

    def transfer_batch_to_device(
        self, batch: dict[str, Tensor], device: torch.device, dataloader_idx: int
    ) -> dict[str, Tensor]:
        """Nothing to move: looking through every batch for tensors costs as much as a small step."""
        return batch
