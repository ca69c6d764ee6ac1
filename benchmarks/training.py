"""Training through Lightning, as the train job does it, beside the bare loop on the same tensors, model and batches."""

from __future__ import annotations

import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import MLFlowLogger
from torch import Tensor

from jobs.ranking.fitting import fit
from lightning_modules.pairs import BatchSlices, PairDataModule, PairTensors, log_frequency
from lightning_modules.ranker import Ranker
from lightning_modules.two_tower import TwoTower

SEED = 20200916
#: Turns of each contestant; the median counts.
TURNS = 3
#: Inputs as many and as wide as the train job's.
CUSTOMERS, ARTICLES, PAIR_SIZE, PURCHASE_SHARE = 20_000, 10_000, 60, 0.05
SIZES = {
    "customer_numeric": 150,
    "customer_vocabularies": [4, 5, 3],
    "article_numeric": 18 + 256,
    "article_vocabularies": [130, 20, 30, 50, 20, 250, 57, 6, 22, 3],
}


def drawn(pairs: int) -> PairTensors:
    """Random pairs with inputs of those sizes; popular articles are in more of them."""
    random = torch.Generator().manual_seed(SEED)

    def floats(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    def codes(rows: int, vocabularies: list[int]) -> Tensor:
        return torch.stack([torch.randint(size, (rows,), generator=random) for size in vocabularies], dim=1)

    article = (ARTICLES * torch.rand(pairs, generator=random) ** 3).long()
    return PairTensors(
        customer_row=torch.randint(CUSTOMERS, (pairs,), generator=random),
        article_row=article,
        article=article,
        label=(torch.rand(pairs, generator=random) < PURCHASE_SHARE).float(),
        log_sampling_rate=torch.zeros(pairs),
        log_frequency=log_frequency(article),
        pair=floats(pairs, PAIR_SIZE),
        customer_numeric=floats(CUSTOMERS, SIZES["customer_numeric"]),
        customer_categories=codes(CUSTOMERS, SIZES["customer_vocabularies"]),
        article_numeric=floats(ARTICLES, 18),
        article_categories=codes(ARTICLES, SIZES["article_vocabularies"]),
        image_row=torch.arange(ARTICLES),
        images=floats(ARTICLES, SIZES["article_numeric"] - 18),
    )


def network(stage: str) -> TwoTower | Ranker:
    """A fresh network, the same each time."""
    pl.seed_everything(SEED, verbose=False)
    return TwoTower(**SIZES) if stage == "two-tower" else Ranker(**SIZES, pair_size=PAIR_SIZE)


def bare(stage: str, pairs: PairTensors, batch_size: int, epochs: int) -> float:
    """Seconds of the loop that one would write without Lightning."""
    module = network(stage)
    optimiser = module.configure_optimizers()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device)
    slices = BatchSlices(pairs, batch_size, SEED)
    started = time.perf_counter()
    for slices.epoch in range(epochs):
        for batch in slices:
            batch = {name: values.to(device) for name, values in batch.items()}
            optimiser.zero_grad()
            loss = module.loss(batch)
            (loss if isinstance(loss, Tensor) else loss[0]).backward()
            optimiser.step()
    float(next(module.parameters()).sum())  # a GPU has finished
    return time.perf_counter() - started


def lightning(stage: str, pairs: PairTensors, batch_size: int, epochs: int, folder: Path) -> float:
    """Seconds of the train job's way: DataModule, checkpoints, progress bar, MLflow."""
    module, data = network(stage), PairDataModule(pairs, None, batch_size, SEED)
    logger = MLFlowLogger("training", tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_location=str(folder))
    _ = logger.run_id  # the store is there before the clock runs
    started = time.perf_counter()
    fit(module, data, epochs, folder / f"{stage}-{started}", logger=logger)
    return time.perf_counter() - started
