"""The two towers: unit vectors, both losses by hand, who is no negative, and what the correction is for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.pairs import PairDataModule
from lightning_modules.two_tower import TwoTower, no_negatives
from tests.lightning_modules.small import SIZES, tensors


class Given(TwoTower):
    """Towers that give the vectors they are told, one of each per row of a batch."""

    def __init__(self, queries: list[list[float]], items: list[list[float]], **options: Any) -> None:
        super().__init__(**SIZES, **options)
        self.vectors = torch.tensor(queries, requires_grad=True), torch.tensor(items, requires_grad=True)

    def queries(self, batch: Any, rows: Tensor | slice = slice(None)) -> Tensor:
        return self.vectors[0][rows]

    def items(self, batch: Any) -> Tensor:
        return self.vectors[1]


def batch(**columns: list) -> dict[str, Tensor]:
    """A batch by its columns; of different customers and articles, evenly frequent and weighing one, unless told."""
    size = len(columns["label"])
    given = {
        "customer_row": torch.arange(size),
        "article": torch.arange(size),
        "log_frequency": torch.full((size,), math.log(1 / size)),
        "weight": torch.ones(size),
    }
    integers = ("customer_row", "article")
    told = {n: torch.tensor(v, dtype=torch.long if n in integers else torch.float32) for n, v in columns.items()}
    return given | told


#: Two purchases and a negative: the rows' articles lie at cosines 1, 0, 0.6 of the first customer, 0, 1, 0.8 of the
#: second. At temperature 0.5 the logits are 2, 0, 1.2 and 0, 2, 1.6.
QUERIES, ITEMS = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]


def softmax(first: list[float], second: list[float]) -> tuple[float, float]:
    """Losses of the two purchases, the first of the first row and the second of the second, from e^logit by hand."""
    return math.log(sum(first) / first[0]), math.log(sum(second) / second[1])


def test_towers_give_unit_vectors_of_32() -> None:
    vectors = TwoTower(**SIZES).query_tower(torch.randn(5, 2), torch.zeros(5, 1, dtype=torch.long))
    assert vectors.shape == (5, 32)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(5), atol=1e-6)


@pytest.mark.parametrize("log_q", [1.0, 0.0, -1.0])
def test_softmax_by_hand(log_q: float) -> None:
    """The articles are expected 1.5, 0.75 and 0.75 times among the three of a batch."""
    e, half, three = math.exp, 1.5**-log_q, 0.75**-log_q
    first, second = softmax([e(2), e(0) * three, e(1.2) * three], [e(0) * half, e(2), e(1.6) * three])
    module = Given(QUERIES, ITEMS, temperature=0.5, log_q=log_q)
    given = batch(label=[1, 1, 0], log_frequency=[math.log(0.5), math.log(0.25), math.log(0.25)])
    assert module.loss(given).item() == pytest.approx((first + second) / 2, rel=1e-5)
    if log_q == 1:  # (7.3891 + 1.3333 + 4.4268) / 7.3891 and (0.6667 + 7.3891 + 6.6040) / 7.3891
        assert (first, second) == pytest.approx((0.57635, 0.68509), abs=1e-4)
    weighted = module.loss(given | {"weight": torch.tensor([3.0, 1.0, 7.0])})
    assert weighted.item() == pytest.approx((3 * first + second) / 4, rel=1e-5)


def test_what_the_customer_bought_too_is_no_negative() -> None:
    module = Given(QUERIES, ITEMS, temperature=0.5, log_q=0)
    first, second = softmax([math.exp(2), math.exp(1.2)], [0, math.exp(2), math.exp(1.6)])
    loss = module.loss(batch(label=[1, 1, 0], customer_row=[4, 4, 4]))
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_the_bought_article_is_no_negative_elsewhere_in_the_batch() -> None:
    module = Given(QUERIES, ITEMS, temperature=0.5, log_q=0)
    first, second = softmax([math.exp(2), math.exp(0)], [math.exp(0), math.exp(2), math.exp(1.6)])
    loss = module.loss(batch(label=[1, 1, 0], article=[8, 9, 8]))
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_no_negatives_reach_the_other_customers_pairs_of_the_same_article() -> None:
    """Customer 0 bought articles 5 and 6, customer 1 article 6 and not 5, and is a negative's customer of 7."""
    given = batch(label=[1, 1, 1, 0, 0], customer_row=[0, 0, 1, 1, 1], article=[5, 6, 6, 5, 7])
    blocked = no_negatives(given, torch.tensor([0, 1, 2])).int().tolist()
    assert blocked == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [0, 1, 1, 0, 0]]


def test_a_batch_without_a_purchase_costs_nothing_and_teaches_nothing() -> None:
    module = TwoTower(**SIZES)
    whole = tensors().batch(torch.arange(10)) | {"label": torch.zeros(10)}
    loss = module.loss(whole)
    loss.backward()
    assert loss.item() == 0
    assert all((p.grad is None or not p.grad.any()) for p in module.parameters())


def test_contrastive_by_hand() -> None:
    """Bought at a squared distance of 0.8; not bought at sqrt(0.4), which is short of 1; not bought at sqrt(2)."""
    module = Given([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [[0.6, 0.8], [0.6, 0.8], [0.0, 1.0]], loss="contrastive")
    short = (1 - math.sqrt(0.4)) ** 2 / 2
    assert module.loss(batch(label=[1, 0, 0])).item() == pytest.approx((0.4 + short) / 3, rel=1e-5)
    weighted = module.loss(batch(label=[1, 0, 0], weight=[2, 1, 1]))
    assert weighted.item() == pytest.approx((0.8 + short) / 4, rel=1e-5)
    wide = Given([[1.0, 0.0]], [[0.0, 1.0]], loss="contrastive", margin=2.0)
    assert wide.loss(batch(label=[0])).item() == pytest.approx((2 - math.sqrt(2)) ** 2 / 2, rel=1e-5)


def test_contrastive_has_a_slope_everywhere() -> None:
    module = Given([[1.0, 0.0]], [[1.0, 0.0]], loss="contrastive")
    module.loss(batch(label=[0])).backward()
    assert torch.isfinite(module.vectors[0].grad).all()


def test_another_loss_is_unknown() -> None:
    with pytest.raises(KeyError):
        TwoTower(**SIZES, loss="triplet")  # type: ignore[arg-type]


def learnt(log_q: float) -> Tensor:
    """Logits less the first one's, learnt from in-batch purchases of four articles that sell as 8:4:2:2."""
    pl.seed_everything(0, verbose=False)
    shares = torch.tensor([0.5, 0.25, 0.125, 0.125])
    logits = torch.zeros(4, requires_grad=True)
    module = Given([[1.0]], [[1.0]], temperature=1.0, log_q=log_q)
    optimiser = torch.optim.Adam([logits], lr=0.03)
    for _ in range(400):
        article = torch.multinomial(shares, 64, replacement=True)
        module.vectors = torch.ones(64, 1), logits[article, None]
        given = batch(label=[1.0] * 64) | {"article": article, "log_frequency": shares[article].log()}
        optimiser.zero_grad()
        module.loss(given).backward()
        optimiser.step()
    return (logits - logits[0]).detach()


def test_the_correction_makes_logits_follow_what_is_bought() -> None:
    """With logQ they are the log of the shares; without, the second one pays for being in every batch."""
    assert learnt(1).tolist() == pytest.approx([0, -math.log(2), -math.log(4), -math.log(4)], abs=0.15)
    assert learnt(0)[1].item() < -1.2
    assert learnt(-1)[1].item() < -2


def test_ids_tell_articles_apart_and_leave_the_unseen_to_their_features() -> None:
    pl.seed_everything(0, verbose=False)
    module = TwoTower(**SIZES, article_ids=30)
    numeric, codes = torch.randn(1, 3).expand(2, 3), torch.zeros(2, 1, dtype=torch.long)
    features = module.item_tower(numeric, codes, torch.tensor([3, 25])).detach()
    assert torch.allclose(features[0], features[1], atol=1e-6)
    trainer = pl.Trainer(
        max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        reload_dataloaders_every_n_epochs=1, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, PairDataModule(tensors(), None, batch_size=100, seed=0))  # articles 0 to 19
    assert module.item_tower.ids is not None
    trained = module.item_tower.ids.weight.abs().sum(dim=1)
    assert (trained[:20] > 0).all() and not trained[20:].any()


def test_recall_in_a_batch_by_hand() -> None:
    """12 articles at falling cosines; the first purchase is best of all, the second has 11 better ones."""
    cosines = torch.linspace(1, 0, 12)
    items = torch.stack([cosines, (1 - cosines.square()).sqrt()], dim=1).tolist()
    module = Given([[1.0, 0.0]] * 12, items)
    assert module.recall(batch(label=[1] + [0] * 10 + [1])).item() == 0.5
    # Two of the eleven are the customer's own other purchases: nine are left before the last one.
    bought = batch(label=[1, 1] + [0] * 9 + [1], customer_row=[0] * 12)
    assert module.recall(bought).item() == 1


def test_loss_falls_and_is_logged() -> None:
    pl.seed_everything(0, verbose=False)
    module, pairs = TwoTower(**SIZES), tensors()
    whole = pairs.batch(torch.arange(len(pairs)))
    before = module.loss(whole).item()
    trainer = pl.Trainer(
        max_epochs=20, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        reload_dataloaders_every_n_epochs=1, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, PairDataModule(pairs, pairs, batch_size=400, seed=0))
    assert module.loss(whole).item() < before - 0.05
    assert trainer.callback_metrics["val/retrieval_loss"].item() == pytest.approx(module.loss(whole).item(), abs=1e-4)
    assert {"train/retrieval_loss", "val/recall_in_batch"} <= set(trainer.callback_metrics)
