"""Training through Lightning, as the train job does it, beside the bare loop on the same tensors, model and batches."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import MLFlowLogger
from torch import Tensor

from benchmarks.contest import Result, medians, publish, shares
from jobs.platform.lightning import batch_size_for, fit
from lightning_modules.pairs import BatchSlices, PairDataModule, PairTensors, log_frequency
from lightning_modules.ranker import Ranker
from lightning_modules.two_tower import TwoTower

SEED = 20200916
STAGES, WAYS = ("two-tower", "ranker"), ("bare", "Lightning")
#: Epochs of a fit, and turns of each way; their median counts.
EPOCHS, TURNS = 2, 5
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


def bare(stage: str, pairs: PairTensors, batch_size: int) -> None:
    """The loop that one would write without Lightning, on tensors that are on the device already."""
    module = network(stage).to(pairs.label.device)
    optimiser = module.configure_optimizers()
    slices = BatchSlices(pairs, batch_size, SEED)
    for slices.epoch in range(EPOCHS):
        for batch in slices:
            optimiser.zero_grad()
            loss = module.loss(batch)
            (loss if isinstance(loss, Tensor) else loss[0]).backward()
            optimiser.step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def lightning(stage: str, pairs: PairTensors, batch_size: int, logger: MLFlowLogger, folder: Path) -> None:
    """The train job's way: DataModule, checkpoints, progress bar, MLflow; the best epoch is loaded in the end."""
    fit(network(stage), PairDataModule(pairs, None, batch_size, SEED), EPOCHS, folder, logger=logger)


def timed(work: Callable[[], None]) -> Result:
    """Seconds and processor seconds of work in this process, and its peak of memory so far."""
    busy, started = time.process_time(), time.perf_counter()
    work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    return Result(seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def run(pairs: int) -> None:
    """Time both stages both ways, in turns, and publish the medians.

    Args:
        pairs: of an epoch.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tensors, batch_size = drawn(pairs).to(device), batch_size_for(pairs)
    turns: dict[str, list[Result]] = {f"{stage}, {way}": [] for stage in STAGES for way in WAYS}
    torch.set_num_threads(1)  # as the train job
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        logger = MLFlowLogger("training", tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_location=folder)
        _ = logger.run_id  # the store is there before the clock runs
        for turn, stage in product(range(-1, TURNS), STAGES):
            place = Path(folder) / f"{stage} {turn}"
            times = (
                timed(lambda s=stage: bare(s, tensors, batch_size)),
                timed(lambda s=stage, p=place: lightning(s, tensors, batch_size, logger, p)),
            )
            for way, result in zip(WAYS, times, strict=True):
                if turn >= 0:  # the first turn warms up
                    turns[f"{stage}, {way}"].append(result)
    publish(
        "training",
        f"make bench-training PAIRS={pairs}",
        medians(turns),
        shares(turns, STAGES, WAYS),
        note(turns, pairs, batch_size),
    )


def note(turns: Mapping[str, Sequence[Result]], pairs: int, batch_size: int) -> str:
    """What was done, and examples a second."""
    rates = {name: EPOCHS * pairs / median(result.seconds for result in of) for name, of in turns.items()}
    said = "; ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "one thread"
    return (
        f"{EPOCHS} epochs of {pairs:,} pairs in batches of {batch_size:,}, with {PAIR_SIZE} pair features,"
        f" {SIZES['customer_numeric']} numbers of the customer and {SIZES['article_numeric']} of the article, on"
        f" {where}; both ways cut the same batches for the same network. Lightning as the train job uses it:"
        f" DataModule, progress bar, a checkpoint an epoch, MLflow in SQLite. Medians of {TURNS} turns. Examples a"
        f" second: {said}."
    )
