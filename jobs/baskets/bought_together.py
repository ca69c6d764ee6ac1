"""Bought together: association rules of articles, products and product types, and what to offer beside each article.

    python -m jobs.baskets.bought_together --as-of-date 2020-09-23 --min-support 0.0001

Baskets are those of the `basket_weeks` weeks before the as-of date: of purchases, or with `--basket-of session` of the
shop's log, where a visitor who never signed in counts as a customer. Larger itemsets than pairs are of articles alone.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa

from expectations.articles import ARTICLES
from expectations.baskets import ASSOCIATION_RULES, BOUGHT_TOGETHER, LEVELS
from expectations.contract import Contract
from expectations.events import EVENTS
from expectations.transactions import TRANSACTIONS
from jobs.baskets.baskets import NO_ITEM, Baskets, baskets_of
from jobs.baskets.itemsets import frequent_itemsets, min_count_of
from jobs.baskets.lists import Shelf, lists
from jobs.baskets.rules import Rules, both_in_words, rules_of
from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import WEEK, Settings

READS, WRITES = (ARTICLES, TRANSACTIONS), (ASSOCIATION_RULES, BOUGHT_TOGETHER)
READS_EARLIER_RUNS = (EVENTS,)
SETTINGS = (
    "accept_drift",
    "basket_of",
    "basket_weeks",
    "max_basket_size",
    "min_support",
    "min_confidence",
    "min_lift",
    "itemset_size",
    "complements_only",
)

_LOG = logging.getLogger(__name__)

#: Rules of a run at most: about 150 bytes each while they are checked.
MAX_RULES = 10_000_000
#: Events by which an article is in a session's basket.
IN_BASKET = ["cart", "purchase"]
#: Between the items of an antecedent.
AND = " + "
#: Columns with the codes of the items on the left.
LEFT = cs.starts_with("left_")
#: Level -> the column of silver/articles that says what an article is there.
GROUPS = {"product": "product_code", "product_type": "product_type_name"}


class Lines(NamedTuple):
    """Purchases of the window, one element per unit: surrogate keys, days since 1970-01-01, numbers of visits."""

    customer: Ints
    day: Ints
    article: Ints
    visit: Ints


class Catalogue(NamedTuple):
    """Of each article by surrogate key.

    Attributes:
        is_listed: in the retailer's list as of the date.
        groups: level -> code of what the article is there, NO_ITEM for nothing.
        names: level -> what the codes stand for.
    """

    is_listed: np.ndarray
    groups: dict[str, Ints]
    names: dict[str, pl.Series]


def lines_of(job: Job, start: date, end: date) -> Lines:
    """The purchases of start <= t_dat < end."""
    columns = ["customer_key", "t_dat", "article_key", "basket_id"]
    parts = [
        pl.DataFrame(file.read(columns)).filter(pl.col("t_dat").is_between(start, end, closed="left"))
        for file in job.data_files(TRANSACTIONS)
        if file.is_since("t_dat", start) and file.is_before("t_dat", end)
    ]
    if not parts:
        return Lines(*np.zeros((4, 0), dtype=np.int32))
    without = pl.DataFrame(schema={"basket_id": pl.String})  # as a file is that is older than the column
    rows = pl.concat([without, *parts], how="diagonal")
    visit = rows["basket_id"].replace("", None).rank("dense").cast(pl.Int32).fill_null(0) - 1
    return Lines(*(column.cast(pl.Int32).to_numpy() for column in [*rows.select(columns[:3]), visit]))


def lines_of_sessions(job: Job, start: date, end: date, article_ids: pl.Series) -> Lines:
    """What sessions of start <= event_date < end put in their baskets; articles by their place among these ids.

    Raises JobError where no log was taken in.
    """
    if not job.exists(EVENTS):
        raise JobError(f"{EVENTS.path}: no such table yet; take the shop's log in first, or give --basket-of day")
    days = [start + timedelta(days=n) for n in range((end - start).days)]
    columns = ["customer_id", "visitor_id", "event_date", "article_id", "session_id"]
    rows = pl.DataFrame(job.read_arrow(EVENTS, columns, where={"event_date": days, "event_type": IN_BASKET}))
    places = pl.DataFrame({"article_id": article_ids}).with_row_index("article").drop_nulls()
    known = rows.join(places, on="article_id")
    whose = pl.coalesce(pl.lit("c:") + pl.col("customer_id"), pl.lit("v:") + pl.col("visitor_id"))
    codes = known.select(whose.rank("dense") - 1, "event_date", "article", pl.col("session_id").rank("dense") - 1)
    return Lines(*(column.cast(pl.Int32).to_numpy() for column in codes))


def catalogue_of(articles: pa.Table, as_of_date: date) -> Catalogue:
    """The articles by their surrogate keys.

    Args:
        articles: rows of silver/articles.
    """
    rows = pl.DataFrame(articles)
    keys = pl.DataFrame({"article_key": np.arange(rows["article_key"].to_numpy().max(initial=-1) + 1, dtype=np.int32)})
    rows = keys.join(rows, on="article_key", how="left", maintain_order="left")
    is_listed = rows["article_id"].is_not_null() & (rows["delisted_date"] > as_of_date).fill_null(True)
    names, groups = {"article": rows["article_id"]}, {"article": rows["article_key"].to_numpy()}
    for level in LEVELS[1:]:
        column = rows[GROUPS[level]]
        names[level] = column.drop_nulls().unique(maintain_order=True)
        codes = column.replace_strict(names[level], range(len(names[level])), default=None, return_dtype=pl.Int32)
        groups[level] = codes.fill_null(NO_ITEM).to_numpy()
    return Catalogue(is_listed.to_numpy(), groups, names)


def mined_rules(baskets: Baskets, settings: Settings, max_size: int) -> dict[int, pl.DataFrame]:
    """Items of a rule, both sides -> the rules above the run's thresholds; JobError where they are too many."""
    mined = frequent_itemsets(baskets, min_count_of(settings.min_support, len(baskets)), max_size)
    found: dict[int, list[pl.DataFrame]] = {}
    count = 0
    for rules in rules_of(mined, settings.min_confidence, settings.min_lift):
        count += len(rules)
        if count > MAX_RULES:
            raise JobError(
                f"more than {MAX_RULES:,} rules with --min-support {settings.min_support:g}, --min-confidence"
                f" {settings.min_confidence:g} and --min-lift {settings.min_lift:g}; raise one of them"
            )
        found.setdefault(rules.antecedent.shape[1] + 1, []).append(frame(rules))
    return {size: pl.concat(frames) for size, frames in found.items()}


def frame(rules: Rules) -> pl.DataFrame:
    """Rules as rows: left_0, ..., consequent (codes), and their figures."""
    of, at = rules.of, rules.itemset
    sides = {f"left_{i}": column for i, column in enumerate(rules.antecedent.T)} | {"consequent": rules.consequent}
    counts = {
        "basket_count": of.basket_count[at],
        "customer_count": of.customer_count[at],
        "first_date": of.first_day[at],
        "last_date": of.last_day[at],
        "antecedent_basket_count": rules.antecedent_count,
        "consequent_basket_count": rules.consequent_count,
    }
    return pl.DataFrame(sides | counts | rules.measures).with_columns(
        pl.col("first_date", "last_date").cast(pl.Date), pl.col("conviction").fill_nan(None)
    )


def named(rows: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    """The same rows with the ids of both sides as text."""
    left = pl.DataFrame([names.gather(column).alias(column.name) for column in rows.select(LEFT)])
    return rows.with_columns(
        left.select(antecedent=pl.concat_str(pl.all(), separator=AND)).to_series(),
        names.gather(rows["consequent"]).alias("consequent"),
        antecedent_size=pl.lit(left.width, pl.Int32),
    )


def stamped(rows: pl.DataFrame, contract: Contract, job: Job) -> pa.Table:
    """Rows of the contract, of this run."""
    stamp = {"as_of_date": job.settings.as_of_date, "run_id": job.settings.run_id}
    every = rows.with_columns(*(pl.lit(value).alias(name) for name, value in stamp.items()))
    return every.select(contract.column_names).to_arrow().cast(arrow_schema(contract))


def rules_by_level(
    baskets: Baskets, catalogue: Catalogue, settings: Settings, itemset_size: int = 2
) -> dict[str, dict[int, pl.DataFrame]]:
    """Level -> items of a rule -> rules by code; those of articles have up to `itemset_size` items."""
    found = {"article": mined_rules(baskets, settings, itemset_size)}
    for level in LEVELS[1:]:
        of_level = baskets.of(catalogue.groups[level], len(catalogue.names[level]))
        found[level] = mined_rules(of_level, settings, 2)
    return found


def offers(pairs: dict[str, pl.DataFrame], shelf: Shelf, names: pl.Series, complements_only: bool) -> pl.DataFrame:
    """The rows of bought_together.

    Args:
        pairs: level -> its rules of two items, by code.
        shelf: the articles.
        names: their ids by code.
        complements_only: see `lists`.
    """
    rules = {level: found.rename({"left_0": "antecedent"}) for level, found in pairs.items()}
    chosen = lists(rules, shelf, complements_only)
    parts = []
    for level, found in rules.items():
        rows = chosen.filter(pl.col("level") == level)
        parts.append(rows.hstack(found.drop("antecedent", "consequent")[rows["rule"].to_numpy()]))
    rows = pl.concat(parts)
    return rows.with_columns(
        names.gather(rows["article"]).alias("article_id"), names.gather(rows["other_article"]).alias("other_article_id")
    )


def in_words(pairs: pl.DataFrame, names: pl.Series) -> str:
    """The two articles that most customers bought together."""
    if pairs.is_empty():
        return "no two articles were bought together often enough"
    most = pairs.sort("customer_count", "left_0", "consequent", descending=[True, False, False]).row(0, named=True)
    return f"{both_in_words(most['customer_count'])} {names[most['left_0']]} and {names[most['consequent']]}"


def publish(job: Job, rules: dict[str, dict[int, pl.DataFrame]], names: dict[str, pl.Series]) -> int:
    """Publish every rule; returns how many."""
    rows = pl.concat(
        named(found, names[level]).drop(LEFT).with_columns(level=pl.lit(level))
        for level, by_size in rules.items()
        for found in by_size.values()
    )
    return job.publish(
        ASSOCIATION_RULES, stamped(rows, ASSOCIATION_RULES, job), {"as_of_date": [job.settings.as_of_date]}
    )


def main(job: Job) -> str:
    settings, end = job.settings, job.settings.as_of_date
    columns = ["article_id", "article_key", "delisted_date", *GROUPS.values()]
    catalogue = catalogue_of(job.read_arrow(ARTICLES, columns), end)
    start, names, articles = end - settings.basket_weeks * WEEK, catalogue.names["article"], len(catalogue.is_listed)
    lines = lines_of_sessions(job, start, end, names) if settings.basket_of == "session" else lines_of(job, start, end)
    if (unknown := int(lines.article.max(initial=-1))) >= articles:
        raise JobError(f"{TRANSACTIONS.path}: article_key {unknown} is not in {ARTICLES.path}; rerun ingest")
    baskets = baskets_of(*lines[:3], articles, settings.max_basket_size, lines.visit)
    if baskets.set_aside:
        _LOG.warning("%d baskets of more than %d articles set aside", baskets.set_aside, settings.max_basket_size)
    rules = rules_by_level(baskets, catalogue, settings, settings.itemset_size)
    units = np.bincount(lines.article, minlength=articles).astype(np.int32)
    shelf = Shelf(units, catalogue.is_listed, catalogue.groups)
    rows = offers({level: by_size[2] for level, by_size in rules.items()}, shelf, names, settings.complements_only)
    count = publish(job, rules, catalogue.names)
    places = job.publish(BOUGHT_TOGETHER, stamped(rows, BOUGHT_TOGETHER, job), {"as_of_date": [end]})
    return (
        f"{count:,} rules; {places:,} places beside {rows['article'].n_unique():,} of {len(shelf.on_sale):,} articles,"
        f" from {len(baskets):,} baskets of {settings.basket_weeks} weeks, {baskets.set_aside:,} of more than"
        f" {settings.max_basket_size} articles set aside; {in_words(rules['article'][2], names)}"
    )


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
