"""The joint heads' loss by hand, what is no negative, and how wordings are drawn."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.joint_heads import FULL_TEXT, NONE, Batch, Head, JointHeads, PairBatches, Pairs, drawn_wordings

#: Pictures and texts in the plane; the pairs' cosines are 1, .6 and 1.
IMAGES, TEXTS = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]]


def loss(product: list[int], wording: list[int]) -> float:
    heads = JointHeads(2, 2)
    heads.image_head = heads.text_head = nn.Identity()
    heads.log_scale = nn.Parameter(torch.tensor(math.log(2.0)))
    codes = torch.tensor(product), torch.tensor(wording)
    return float(heads.loss(Batch(torch.tensor(IMAGES), torch.tensor(TEXTS), *codes)))


def by_hand(left_out: set[tuple[int, int]]) -> float:
    e = [[math.exp(2 * sum(a * b for a, b in zip(i, t, strict=True))) for t in TEXTS] for i in IMAGES]
    keep = [[float((i, t) not in left_out) for t in range(3)] for i in range(3)]
    rows = [math.log(sum(e[i][t] * keep[i][t] for t in range(3)) / e[i][i]) for i in range(3)]
    columns = [math.log(sum(e[i][t] * keep[i][t] for i in range(3)) / e[t][t]) for t in range(3)]
    return (sum(rows) + sum(columns)) / 6


def test_the_loss_is_the_mean_of_both_directions() -> None:
    assert loss([0, 1, 2], [0, 1, 2]) == pytest.approx(by_hand(set()))


@pytest.mark.parametrize(("product", "wording"), [([0, 1, 1], [0, 1, 2]), ([0, 1, 2], [0, 4, 4])])
def test_what_nothing_tells_apart_is_no_negative(product: list[int], wording: list[int]) -> None:
    assert loss(product, wording) == pytest.approx(by_hand({(1, 2), (2, 1)}))


def test_a_head_gives_unit_vectors_whatever_the_features_scale() -> None:
    head = Head(3).eval()
    features = torch.randn(50, 3) * torch.tensor([1e-4, 1.0, 1e4]) + 7
    head.set_scale(features)
    assert torch.allclose(head(features).norm(dim=1), torch.ones(50), atol=1e-5)
    assert torch.isfinite(Head(3)(torch.zeros(2, 3))).all()
    head.set_scale(torch.zeros(4, 3))  # features that are all the same
    assert torch.isfinite(head(torch.ones(2, 3))).all()


def test_a_wording_is_one_that_there_is() -> None:
    wordings = torch.tensor([[0, NONE, NONE], [1, 5, NONE], [2, 6, 7]]).repeat(2_000, 1)
    drawn = drawn_wordings(wordings, torch.Generator().manual_seed(0)).view(-1, 3)

    def share(article: int, wording: int) -> float:
        return float((drawn[:, article] == wording).float().mean())

    assert share(0, 0) == 1
    assert share(1, 1) == pytest.approx(FULL_TEXT, abs=0.04) and share(1, 5) == pytest.approx(1 - FULL_TEXT, abs=0.04)
    assert share(2, 6) == pytest.approx((1 - FULL_TEXT) / 2, abs=0.04) == pytest.approx(share(2, 7), abs=0.06)


def pairs(count: int) -> Pairs:
    numbers = torch.arange(count)
    return Pairs(numbers[:, None].float(), numbers[:, None].float(), numbers[:, None], numbers)


def test_an_epoch_has_every_pair_once_and_the_same_again() -> None:
    def epoch(seed: int) -> list[Tensor]:
        return [batch.images[:, 0] for batch in PairBatches(pairs(10), 4, seed, shuffle=True)]

    assert [len(batch) for batch in epoch(1)] == [4, 4, 2]
    assert sorted(torch.cat(epoch(1)).tolist()) == list(range(10))
    assert torch.equal(torch.cat(epoch(1)), torch.cat(epoch(1)))
    assert not torch.equal(torch.cat(epoch(1)), torch.cat(epoch(2)))
