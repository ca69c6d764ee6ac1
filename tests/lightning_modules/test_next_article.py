"""Vectors and losses that the networks of the next article share."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from lightning_modules.next_article import ArticleVectors, gbce, sampled_softmax

COUNTS = torch.tensor([3, 0, 9])


def test_biases_start_at_the_articles_popularity() -> None:
    vectors = ArticleVectors(COUNTS, torch.zeros(3, 0))
    torch.testing.assert_close(vectors.bias.detach().exp(), torch.tensor([4 / 5, 1 / 5, 10 / 5]))


def test_features_are_projected_and_ids_start_at_zero() -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 2)
    vectors = ArticleVectors(COUNTS, features)
    assert vectors.projection is not None
    projected = features @ vectors.projection.weight.T
    torch.testing.assert_close(vectors.all(), projected)
    with torch.no_grad():
        vectors.ids.weight[1] = 5
    torch.testing.assert_close(vectors(torch.tensor([[1], [2]])), torch.stack([projected[1:2] + 5, projected[2:]]))
    unseen, bias = vectors.unseen(features[:1])
    torch.testing.assert_close(unseen, projected[:1])
    torch.testing.assert_close(bias.exp(), torch.tensor([1 / 5]))


def test_all_vectors_are_those_of_each() -> None:
    vectors = ArticleVectors(COUNTS, torch.zeros(3, 0))
    torch.testing.assert_close(vectors(torch.arange(3)), vectors.all())
    assert vectors.all().std() > 0.01


def test_the_sampled_softmax_by_hand() -> None:
    # Drawn: one article expected twice, and the target itself, which does not count.
    loss = sampled_softmax(
        torch.tensor([1.0]),
        torch.tensor([[2.0, 1.0]]),
        torch.tensor([2.0, 3.0]).log(),
        torch.tensor([[False, True]]),
    )
    assert math.isclose(float(loss), -math.log(math.exp(1) / (math.exp(1) + math.exp(2) / 2)), rel_tol=1e-6)


def test_gbce_without_calibration_is_binary_cross_entropy() -> None:
    own, drawn = torch.tensor([0.3, -2.0]), torch.tensor([[1.0, -1.0, 0.5], [0.2, 0.0, -3.0]])
    logits, labels = torch.cat([own[:, None], drawn], dim=1), torch.tensor([[1.0, 0, 0, 0]] * 2)
    expected = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=1)
    torch.testing.assert_close(gbce(own, drawn, torch.zeros(2, 3, dtype=torch.bool), rate=0.1, t=0), expected)


def test_gbce_by_hand() -> None:
    # Half of the articles are negatives: beta = 1/2 (3/4 (1 - 2) + 2) = 0.625; the target drawn does not count.
    loss = gbce(torch.tensor([0.0]), torch.tensor([[0.0, 9.0]]), torch.tensor([[False, True]]), rate=0.5, t=0.75)
    assert math.isclose(float(loss), (0.625 * math.log(2) + math.log(2)) / 3, rel_tol=1e-6)
    full = gbce(torch.tensor([0.4]), torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.bool), rate=0.25, t=1)
    assert math.isclose(float(full), 0.25 * math.log1p(math.exp(-0.4)), rel_tol=1e-6)
