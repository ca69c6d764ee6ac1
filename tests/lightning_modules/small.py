"""Tiny made-up pairs for the networks."""

from __future__ import annotations

import math
from typing import Any

import torch

from lightning_modules.pairs import PairTensors

torch.set_num_threads(1)  # tiny tensors gain nothing from threads

#: Of the towers; a ranker also has one pair feature.
SIZES: dict[str, Any] = {
    "customer_numeric": 2,
    "customer_vocabularies": [3],
    "article_numeric": 3,
    "article_vocabularies": [4],
}


def tensors(pairs: int = 400) -> PairTensors:
    """Pairs of 10 customers and 20 articles whose label follows from the pair feature."""
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
