"""What is held out, and what a training hands back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jobs.embeddings import training


def articles(products: list[str | None]) -> pa.Table:
    ids = [f"{i:010d}" for i in range(len(products))]
    return pa.table({"article_id": ids, "product_code": pa.array(products, pa.string())})


def test_variants_of_a_product_stay_on_one_side() -> None:
    rows = training.held_out(articles([f"{i // 4:07d}" for i in range(4_000)])).numpy().reshape(-1, 4)
    assert np.array_equal(rows.all(axis=1), rows.any(axis=1))
    assert 0.05 < rows.mean() < 0.15


def test_an_article_without_product_is_one_of_its_own() -> None:
    assert 0.05 < training.held_out(articles([None] * 1_000)).float().mean() < 0.15


def test_something_is_left_to_train_on() -> None:
    lone = next(p for p in map(str, range(1000)) if training.held_out(articles([p, "x", "y"]))[0])
    assert not training.held_out(articles([lone])).any()
