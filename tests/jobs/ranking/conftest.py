"""A made-up shop of 60 customers and 40 articles: purchases, and the tables that a snapshot reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch

from expectations.articles import ARTICLES as ARTICLE_TABLE
from expectations.contract import Contract
from expectations.customers import CUSTOMERS as CUSTOMER_TABLE
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.features import ARTICLE_FEATURES, CUSTOMER_FEATURES, INTERACTION_FEATURES
from jobs.platform.job import Job
from jobs.ranking.candidate_retrieval import Candidates, Retrieval
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.inputs import ARTICLE_CATEGORIES
from jobs.ranking.snapshot import Snapshot, SnapshotLoader
from jobs.retrieval.purchases import Purchases, day_number
from lightning_modules.two_tower import TwoTower

AS_OF = date(2020, 9, 16)
CUSTOMERS, ARTICLES, SECTIONS = 60, 40, 4
ENCODER, IMAGE_DIM = "e", 4
EVERYONE = np.arange(CUSTOMERS, dtype=np.int32)


def make_purchases(seed: int = 0, lines: int = 1500) -> Purchases:
    """Purchases of the 12 weeks up to a week after AS_OF; article a is of section a % SECTIONS, as are customers."""
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(day_number(AS_OF) - 77, day_number(AS_OF) + 7, lines)).astype(np.int32)
    customer = rng.integers(0, CUSTOMERS - 5, lines).astype(np.int32)  # the last five never buy
    own = rng.integers(0, ARTICLES // SECTIONS, lines) * SECTIONS + customer % SECTIONS
    article = np.where(rng.random(lines) < 0.8, own, rng.integers(0, ARTICLES - 2, lines)).astype(np.int32)
    article = np.where(article >= ARTICLES - 2, 0, article).astype(np.int32)  # the last two never sell
    customer_ids = pa.array([f"c{i:03}" for i in range(CUSTOMERS)])
    article_ids = pa.array([f"{i:010}" for i in range(ARTICLES)])
    order = np.lexsort((article, customer, day))
    product = (np.arange(ARTICLES) // 2).astype(np.int32)
    return Purchases(day[order], customer[order], article[order], customer_ids, article_ids, product=product)


@dataclass
class Shop:
    """The tables of a warehouse, computed from purchases when they are read."""

    purchases: Purchases

    @property
    def lines(self) -> pl.DataFrame:
        """silver/transactions; price and channel follow from article, customer and day."""
        p = self.purchases
        return pl.DataFrame(
            {
                "t_dat": pl.Series(p.day).cast(pl.Date),
                "customer_id": pl.Series(p.customer_ids.to_pylist())[p.customer],
                "article_id": pl.Series(p.article_ids.to_pylist())[p.article],
                "customer_key": p.customer,
                "article_key": p.article,
                "price": 0.01 + 0.003 * (p.article % 7) + 0.0001 * (p.day % 5),
                "sales_channel_id": (p.customer + p.day) % 2 + 1,
            }
        )

    def read_arrow(
        self, contract: Contract, columns: Sequence[str] | None = None, where: Mapping[str, list] | None = None
    ) -> pa.Table:
        """As Job.read_arrow."""
        table = {
            CUSTOMER_TABLE.name: self.customers,
            ARTICLE_TABLE.name: self.articles,
            CUSTOMER_FEATURES.name: self.customer_features,
            ARTICLE_FEATURES.name: self.article_features,
            INTERACTION_FEATURES.name: self.interactions,
            ARTICLE_EMBEDDINGS.name: self.images,
        }[contract.name](**where or {})
        return (table.select(columns) if columns else table).to_arrow().cast(_plain_strings(table, columns))

    def customers(self) -> pl.DataFrame:
        ids = self.purchases.customer_ids.to_pylist()
        age = [None if i % 7 == 0 else 17.0 + i for i in range(CUSTOMERS)]
        facts = {"age": age, "is_fn": [i % 3 == 0 for i in range(CUSTOMERS)], "is_active": [True] * CUSTOMERS}
        texts = {"club_member_status": ["ACTIVE"] * CUSTOMERS, "fashion_news_frequency": ["NONE"] * CUSTOMERS}
        return pl.DataFrame({"customer_id": ids, **facts, **texts})

    def articles(self) -> pl.DataFrame:
        ids = self.purchases.article_ids.to_pylist()
        names = [f"section {i % SECTIONS}" for i in range(ARTICLES)]
        texts = {name: names for name in ARTICLE_CATEGORIES if name != "preferred_sales_channel_id"}
        return pl.DataFrame({"article_id": ids, "product_code": [f"{i // 2:09}" for i in range(ARTICLES)], **texts})

    def images(self, encoder: list[str]) -> pl.DataFrame:
        vectors = np.random.default_rng(1).normal(size=(ARTICLES, IMAGE_DIM)).astype(np.float32)
        return pl.DataFrame({"article_id": self.purchases.article_ids.to_pylist(), "image_embedding": vectors.tolist()})

    def interactions(self, week_start_date: list[date]) -> pl.DataFrame:
        week = (pl.col("t_dat") - pl.duration(days=(pl.col("t_dat").dt.weekday() + 4) % 7)).alias("week_start_date")
        rows = self.lines.with_columns(week, is_weekend=pl.col("t_dat").dt.weekday() >= 6)
        return rows.filter(pl.col("week_start_date").is_in(week_start_date))

    def customer_features(self, as_of_date: list[date]) -> pl.DataFrame:
        (as_of,) = as_of_date
        day, price, recent = pl.col("t_dat"), pl.col("price"), pl.col("t_dat") >= as_of - pl.duration(days=30)
        days_active = (day.max() - day.min()).dt.total_days()
        return (
            self.lines.filter(day < as_of)
            .group_by("customer_id")
            .agg(
                *(getattr(price, what)().alias(f"price_{name}") for what, name in STATISTICS),
                price.filter(recent).mean().alias("price_mean_30d"),
                pl.len().alias("transaction_count"),
                price.sum().alias("total_spend"),
                pl.col("article_id").n_unique().alias("distinct_article_count"),
                days_active.alias("days_active"),
                (pl.len() / pl.max_horizontal(days_active, 1)).alias("purchase_frequency"),
                (as_of - day.max()).dt.total_days().alias("days_since_last_purchase"),
                recent.sum().alias("transaction_count_30d"),
                price.filter(recent).sum().alias("total_spend_30d"),
                pl.col("sales_channel_id").mode().min().alias("preferred_sales_channel_id"),
            )
        )

    def article_features(self, as_of_date: list[date]) -> pl.DataFrame:
        (as_of,) = as_of_date
        day, price, customer = pl.col("t_dat"), pl.col("price"), pl.col("customer_id")
        recent = day >= as_of - pl.duration(days=30)
        return (
            self.lines.filter(day < as_of)
            .group_by("article_id")
            .agg(
                *(getattr(price, what)().alias(f"price_{name}") for what, name in STATISTICS),
                pl.len().alias("sales_count"),
                customer.n_unique().alias("distinct_customer_count"),
                day.max().alias("last_sale_date"),
                (as_of - day.min()).dt.total_days().alias("days_on_sale"),
                (day >= as_of - pl.duration(days=7)).sum().alias("sales_count_7d"),
                recent.sum().alias("sales_count_30d"),
                customer.filter(recent).n_unique().alias("distinct_customer_count_30d"),
                pl.col("sales_channel_id").mode().min().alias("preferred_sales_channel_id"),
            )
        )


STATISTICS = (("mean", "mean"), ("min", "min"), ("max", "max"), ("std", "stddev"), ("median", "median"))


def _plain_strings(table: pl.DataFrame, columns: Sequence[str] | None) -> pa.Schema:
    """Arrow's ordinary string type, as Delta tables have it, instead of Polars' own."""
    schema = (table.select(columns) if columns else table).to_arrow().schema
    is_text = {field.name for field in schema if pa.types.is_large_string(field.type)}
    return pa.schema([(field.name, pa.string() if field.name in is_text else field.type) for field in schema])


def make_snapshot(purchases: Purchases, as_of: date = AS_OF) -> Snapshot:
    """What is known of the made-up shop as of a date."""
    return SnapshotLoader(cast(Job, Shop(purchases)), purchases, ENCODER).at(as_of)


def made_up_towers(inputs: Inputs) -> TwoTower:
    """Towers of the right size that have learned nothing, always the same ones."""
    torch.manual_seed(0)
    return TwoTower(**inputs.sizes(IMAGE_DIM))


def everyones(retrieval: Retrieval) -> tuple[Candidates, dict[str, np.ndarray]]:
    """The candidates of every customer, and their pair features."""
    candidates = retrieval.of(EVERYONE)
    return candidates, retrieval.columns(candidates, *np.ogrid[tuple(map(slice, candidates.merged.articles.shape))])


def scoring_inputs(inputs: Inputs, snapshot: Snapshot) -> dict[str, np.ndarray]:
    """Everything the rankers are given to score every customer's candidates, and the candidates themselves."""
    candidates, columns = everyones(Retrieval(inputs, made_up_towers(inputs), {}, snapshot))
    given = {f"article {name}": array for name, array in vars(inputs.article_inputs(snapshot)).items()}
    named = {f"pair {name}": values for name, values in columns.items()}
    named |= {f"customer {name}": candidates.numeric[:, i] for i, name in enumerate(inputs.customers.means)}
    found = {f"candidates of {name}": array for name, (array, _) in candidates.found.items()}
    own = {"customer": candidates.numeric, "customer categories": candidates.categories}
    return given | named | found | own | {"candidates": candidates.merged.articles}


def moved_inputs(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> set[str]:
    """Names of the inputs that differ."""
    return {
        name
        for name, array in first.items()
        if not np.array_equal(array, second[name], equal_nan=array.dtype.kind == "f")
    }


@pytest.fixture
def purchases() -> Purchases:
    return make_purchases()


@pytest.fixture
def snapshot_at(purchases: Purchases) -> Callable[[date], Snapshot]:
    return lambda as_of: make_snapshot(purchases, as_of)
