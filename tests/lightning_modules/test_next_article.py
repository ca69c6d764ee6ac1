"""Vectors and losses that the networks of the next article share."""

from __future__ import annotations

import math

import torch

from lightning_modules.next_article import ArticleVectors, sampled_softmax

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
