"""Which articles are variants of one product, also where the catalogue gives products no code."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

#: Columns of silver/articles that product lines are recognised by.
COLUMNS = ("article_id", "product_code", "prod_name", "colour_group_name")


def product_lines(articles: pa.Table) -> list[str]:
    """What is the same for the variants of a product; these on both sides of a split flatter a model.

    The product code; where the catalogue has none, the words of the name without numbers and names of colours; the id
    of an article without a name.

    Args:
        articles: COLUMNS of each.
    """
    colours = {word for name in pc.unique(articles["colour_group_name"]).to_pylist() for word in _words(name)}
    rows = zip(*(articles[name].to_pylist() for name in ("product_code", "prod_name", "article_id")), strict=True)
    lines = []
    for code, name, article_id in rows:
        words = [word for word in _words(name) if word not in colours]
        lines.append(code or " ".join(words) or article_id)
    return lines


def with_lines(articles: pa.Table) -> pa.Table:
    """The articles with their product lines as product_code."""
    place = articles.column_names.index("product_code")
    return articles.set_column(place, "product_code", pa.array(product_lines(articles), pa.string()))


def _words(text: str | None) -> list[str]:
    return re.findall(r"[^\W\d_]+", (text or "").lower())
