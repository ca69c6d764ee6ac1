"""What to offer beside each article: the best rules of the article, of its product, of its product type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from jobs.baskets.baskets import NO_ITEM
from jobs.platform.codes import Ints

#: Others offered beside an article at most.
COUNT = 20


@dataclass(frozen=True)
class Shelf:
    """The articles that may be offered, and what they belong to.

    Attributes:
        units: units sold of each article in the window, (articles,).
        is_listed: articles that are still in the retailer's list, (articles,).
        groups: level -> code of what each article is at that level, NO_ITEM for nothing, (articles,).
    """

    units: Ints
    is_listed: np.ndarray
    groups: dict[str, Ints]

    @property
    def on_sale(self) -> Ints:
        """Codes of listed articles with a sale, ascending."""
        return np.flatnonzero(self.is_listed & (self.units > 0)).astype(np.int32)

    def best_sellers(self, level: str) -> Ints:
        """The article on sale that sold most, by code of the level; NO_ITEM where none is on sale."""
        group = self.groups[level][self.on_sale]
        order = np.lexsort((self.on_sale, -self.units[self.on_sale], group))
        group, article = group[order], self.on_sale[order]
        is_first = np.diff(group, prepend=NO_ITEM - 1) != 0
        best = np.full(int(self.groups[level].max(initial=NO_ITEM)) + 1, NO_ITEM, dtype=np.int32)
        is_first &= group != NO_ITEM
        best[group[is_first]] = article[is_first]
        return best


def lists(rules: dict[str, pl.DataFrame], shelf: Shelf, complements_only: bool, count: int = COUNT) -> pl.DataFrame:
    """Up to `count` others for each article on sale, best first.

    Rules of articles come before those of products, and those before rules of product types, each by falling score
    (on a tie more baskets, then the smaller code). An article is offered once, by its best rule.

    Args:
        rules: level, the most exact first -> rules with one item on either side: antecedent, consequent (codes of the
            level), score, basket_count.
        shelf: the articles.
        complements_only: leave out other variants (colours, say) of the article's own product.

    Returns:
        article, rank, other_article (codes), level, rule (row of the level's rules).
    """
    parts = []
    for place, (level, found) in enumerate(rules.items()):
        best = _offers(found, shelf.best_sellers(level))
        if place:  # of these no more are needed, whatever the levels before have found
            best = best.group_by("antecedent", maintain_order=True).head(2 * count + 1)
        members = pl.DataFrame({"article": shelf.on_sale, "antecedent": shelf.groups[level][shelf.on_sale]})
        parts.append(members.join(best, on="antecedent").with_columns(place=pl.lit(place), level=pl.lit(level)))
    every = pl.concat(parts).filter(pl.col("other_article") != pl.col("article"))
    if complements_only:
        own, other = (shelf.groups["product"][every[name].to_numpy()] for name in ("article", "other_article"))
        every = every.filter(pl.Series((own != other) | (own == NO_ITEM)))
    return (
        every.sort("article", "place", *_ORDER, descending=[False, False, *_FALLING])
        .unique(["article", "other_article"], keep="first", maintain_order=True)
        .with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("article"))
        .filter(pl.col("rank") <= count)
        .select("article", "rank", "other_article", "level", "rule")
    )


#: Order of a level's rules, and which way.
_ORDER, _FALLING = ("score", "basket_count", "other_article"), (True, True, False)


def _offers(rules: pl.DataFrame, best_sellers: Ints) -> pl.DataFrame:
    """The rules in order, with the article that stands for the right side; without those that none stands for."""
    offers = rules.select("antecedent", "score", "basket_count").with_row_index("rule")
    offers = offers.with_columns(other_article=pl.Series(best_sellers[rules["consequent"].to_numpy()], dtype=pl.Int32))
    offers = offers.filter(pl.col("other_article") != NO_ITEM)
    return offers.sort("antecedent", *_ORDER, descending=[False, *_FALLING])
