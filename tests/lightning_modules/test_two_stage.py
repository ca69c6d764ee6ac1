"""The networks: unit vectors, losses by hand, and a loss that falls."""

from __future__ import annotations

import math

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.pairs import PairDataModule, PairTensors
from lightning_modules.two_stage import TwoStageRecommender

torch.set_num_threads(1)  # tiny tensors gain nothing from threads

SIZES = {
    "customer_numeric": 2,
    "customer_vocabularies": [3],
    "article_numeric": 3,
    "article_vocabularies": [4],
    "pair_size": 1,
}


def network() -> TwoStageRecommender:
    pl.seed_everything(0, verbose=False)
    return TwoStageRecommender(**SIZES)  # type: ignore[arg-type]


def tensors(pairs: int = 400) -> PairTensors:
    """Pairs whose label follows from the pair feature."""
    random = torch.Generator().manual_seed(0)
    pair = torch.randn(pairs, 1, generator=random)
    return PairTensors(
        customer_row=torch.arange(pairs) % 10,
        article_row=torch.arange(pairs) % 20,
        article=torch.arange(pairs) % 20,
        label=(pair[:, 0] > 0.5).float(),
        log_sampling_rate=torch.zeros(pairs),
        log_frequency=torch.full((pairs,), math.log(1 / 20)),
        pair=pair,
        customer_numeric=torch.randn(10, 2, generator=random),
        customer_categories=torch.zeros(10, 1, dtype=torch.long),
        article_numeric=torch.randn(20, 2, generator=random),
        article_categories=torch.zeros(20, 1, dtype=torch.long),
        image_row=torch.arange(20),
        images=torch.randn(20, 1, generator=random),
    )


def test_towers_give_unit_vectors_of_32() -> None:
    vectors: Tensor = network().query_tower(torch.randn(5, 2), torch.zeros(5, 1, dtype=torch.long))
    assert vectors.shape == (5, 32)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(5), atol=1e-6)


def test_sampled_negatives_are_corrected_by_their_rate() -> None:
    module, batch = network(), tensors().batch(torch.arange(50))
    _, plain = module.ranker.loss(batch)
    _, corrected = module.ranker.loss({**batch, "log_sampling_rate": torch.full((50,), math.log(0.25))})
    assert torch.allclose(corrected - plain, torch.full((50,), math.log(4)), atol=1e-5)


def test_retrieval_loss_of_towers_that_know_nothing_is_the_log_of_the_choices() -> None:
    """All logits equal: each positive is one of the batch's articles, less the other pairs of its own article."""
    module, batch = network(), tensors().batch(torch.arange(40))  # each of 20 articles twice
    batch |= {"customer_row": torch.arange(40)}
    with torch.no_grad():
        for tower in (module.query_tower, module.item_tower):
            for layer in tower.layers:
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.zero_()
                    layer.bias.fill_(1.0)
    assert torch.isclose(module.two_tower.loss(batch), torch.tensor(math.log(39)), atol=1e-4)


def test_a_batch_without_a_purchase_has_no_retrieval_loss() -> None:
    batch = tensors().batch(torch.arange(10))
    assert float(network().two_tower.loss({**batch, "label": torch.zeros(10)})) == 0


def test_loss_falls_on_a_tiny_set() -> None:
    module, pairs = network(), tensors()
    whole = pairs.batch(torch.arange(len(pairs)))
    before = float(module.ranker.loss(whole)[0].detach())
    trainer = pl.Trainer(
        max_epochs=30, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        reload_dataloaders_every_n_epochs=1, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, PairDataModule(pairs, None, batch_size=50, seed=0))
    assert float(module.ranker.loss(whole)[0].detach()) < 0.5 * before


def test_one_step_of_training_and_validation() -> None:
    trainer = pl.Trainer(fast_dev_run=True, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(network(), PairDataModule(tensors(), tensors(100), batch_size=50, seed=0))
    assert "val/auc" in trainer.callback_metrics


def test_an_epoch_holds_every_pair_once_in_an_order_of_its_own() -> None:
    from lightning_modules.pairs import BatchSlices

    slices = BatchSlices(tensors(), 64, seed=7)
    first = torch.cat([batch["pair"] for batch in slices])
    slices.epoch = 1
    second = torch.cat([batch["pair"] for batch in slices])
    assert len(first) == 400 and not torch.equal(first, second)
    assert torch.equal(first.sort(dim=0).values, second.sort(dim=0).values)
