"""How a feature table is computed: named Polars expressions, and the history they are taken of.

Of several as-of dates the earliest is computed in full. A later one computes again only who has lines since the one
before, from all their lines and in the same way, so that the bits are those of a run for that date alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
import pyarrow as pa

from expectations.contract import Contract, key_of
from jobs.platform.schemas import arrow_schema

#: The date column of the transactions, and the other columns that features are computed from.
DAY = "t_dat"
LINE = ("customer_key", "article_key", DAY, "price", "sales_channel_id")

#: Longest window before the as-of date that a feature looks at by itself.
WINDOW = timedelta(days=30)


@dataclass(frozen=True)
class FeatureSpec:
    """The columns of a feature table, each an expression named as in the contract.

    Attributes:
        contract: the table; the second column of its key is the entity's id.
        entities: the table that lists the entities with their surrogate keys.
        version: to be raised with every change of an expression: slices of another version are computed anew.
        history: aggregates over all lines of an entity before the as-of date.
        last_30_days: aggregates over its lines in the WINDOW before the as-of date, which also have their distance to
            it, `days_before`; 0 if there is none, null where the contract allows it.
        derived: expressions over the columns above and `as_of_date`, each also over those before it.
    """

    contract: Contract
    entities: Contract
    version: int
    history: tuple[pl.Expr, ...]
    last_30_days: tuple[pl.Expr, ...]
    derived: tuple[pl.Expr, ...]

    @property
    def id(self) -> str:
        """Column of the entity's id."""
        return self.entities.key[0]

    @property
    def key(self) -> str:
        """Column of its surrogate key."""
        return key_of(self.id)


def most_frequent(column: str) -> pl.Expr:
    """The most frequent value, the smallest of them on a tie."""
    return pl.col(column).mode().min()


def days_between(start: str, end: str) -> pl.Expr:
    """Days from one date column to another."""
    return (pl.col(end) - pl.col(start)).dt.total_days()


def snapshots(lines: pl.DataFrame, days: Sequence[date], spec: FeatureSpec) -> Iterator[tuple[date, pl.DataFrame]]:
    """The features as of each day: the surrogate key, and every column of the contract but the id and the date.

    A sum of doubles depends on the order of its terms, so lines are put into one order: bits do not depend on how the
    lines are spread over machines.

    Args:
        lines: columns LINE; all lines before the last day.
        days: as-of dates.
        spec: the table's.
    """
    lines = lines.sort(spec.key, "price")
    state: pl.DataFrame | None = None
    is_new = pl.lit(True)
    for day in sorted(days):
        past = lines.filter(pl.col(DAY) < day)
        changed = past.filter(is_new)[spec.key].unique()
        if len(changed):
            theirs = past.filter(pl.col(spec.key).is_in(changed.implode()))
            newer = theirs.group_by(spec.key, maintain_order=True).agg(spec.history)
            state = newer if state is None else append_rest(newer, state, spec.key)
        if state is not None:
            yield day, _as_of(day, state, past, spec)
        is_new = pl.col(DAY) >= day


def append_rest(newer: pl.DataFrame, older: pl.DataFrame, key: str) -> pl.DataFrame:
    """The rows of `newer`, and those of `older` whose key it does not have."""
    rest = older.select(newer.columns).cast(newer.schema).join(newer, on=key, how="anti")
    return pl.concat([newer, rest])


def _as_of(day: date, state: pl.DataFrame, past: pl.DataFrame, spec: FeatureSpec) -> pl.DataFrame:
    recent = past.filter(pl.col(DAY) >= day - WINDOW).with_columns(as_of_date=pl.lit(day))
    recent = recent.with_columns(days_between(DAY, "as_of_date").alias("days_before"))
    recent = recent.group_by(spec.key, maintain_order=True).agg(spec.last_30_days)
    counted = [c.name for c in spec.contract.columns if not c.nullable and c.name in recent.columns]
    features = state.join(recent, on=spec.key, how="left").with_columns(
        pl.col(counted).fill_null(0), pl.lit(day).alias("as_of_date")
    )
    for expression in spec.derived:
        features = features.with_columns(expression)
    names = [name for name in spec.contract.column_names if name not in spec.contract.key]
    return features.select(spec.key, *names)


def rows(features: pl.DataFrame, ids: pl.DataFrame, spec: FeatureSpec) -> pa.Table:
    """Features of one day as rows of the table, but for the date.

    Args:
        features: as given by `snapshots`.
        ids: the surrogate key and the id of (at least) these entities; one that is missing has a null id, which the
            table's check refuses.
        spec: the table's.
    """
    names = [name for name in spec.contract.column_names if name != "as_of_date"]
    schema = pa.schema([arrow_schema(spec.contract).field(name).with_nullable(True) for name in names])
    return features.join(ids, on=spec.key, how="left", maintain_order="left").select(names).to_arrow().cast(schema)
