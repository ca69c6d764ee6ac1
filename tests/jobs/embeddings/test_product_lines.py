"""Variants of one product, by its code or by their names."""

from __future__ import annotations

import pyarrow as pa

from jobs.embeddings.product_lines import product_lines, with_lines


def test_variants_are_one_product_line() -> None:
    articles = pa.table(
        {
            "article_id": ["1", "2", "3", "4", "5"],
            "product_code": [None, None, None, "0108775", None],
            "prod_name": ["Puma Men Blue Polo 2", "Puma Men Navy Blue Polo", "Puma Men Jacket", "Vest", None],
            "colour_group_name": ["Blue", "Navy Blue", "NA", "Blue", None],
        }
    )
    lines = ["puma men polo", "puma men polo", "puma men jacket", "0108775", "5"]
    assert product_lines(articles) == lines
    assert with_lines(articles).to_pylist() == [
        {**row, "product_code": line} for row, line in zip(articles.to_pylist(), lines, strict=True)
    ]
