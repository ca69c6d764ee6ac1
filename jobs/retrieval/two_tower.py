"""Candidate source: the articles whose tower vectors are nearest to the customer's (largest dot product, exact)."""

from __future__ import annotations

import torch
from torch import Tensor

SOURCE = "two_tower"
COUNT = 100


def nearest_articles(queries: Tensor, items: Tensor, count: int, excluded: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of the `count` articles with the largest dot product, best first, -1 where fewer remain,
    and these products.

    Args:
        queries: customer vectors, (n, d).
        items: article vectors by code, (articles, d).
        excluded: articles that may not be picked, (articles,) or (n, articles) bool.
    """
    scores = (queries @ items.T).masked_fill(excluded, float("-inf"))
    best, articles = scores.topk(min(count, items.shape[0]), dim=1)
    return articles.masked_fill(torch.isinf(best), -1), best.masked_fill(torch.isinf(best), float("nan"))
