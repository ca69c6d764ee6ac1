"""Purchase histories for the feature tests: as arrays, as exact rows, and a slow, obvious reference."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa

from jobs.features import articles, customers, spec
from jobs.features.spec import LINE, snapshots
from jobs.platform.schemas import arrow_schema

Line = tuple[date, str, str, float, int]
SPECS = {"customer": customers.SPEC, "article": articles.SPEC}


def key(text: str) -> int:
    """A surrogate key: the id's bytes, read as a number."""
    return int.from_bytes(text.encode(), "big")


def frame(lines: Sequence[Line]) -> pl.DataFrame:
    """The lines as the features are computed from."""
    found = [(key(line[1]), key(line[2]), line[0], line[3], line[4]) for line in lines]
    types = [pl.Int32, pl.Int32, pl.Date, pl.Float64, pl.Int32]
    return pl.DataFrame(found, dict(zip(LINE, types, strict=True)), orient="row")


def features(of: str, lines: Sequence[Line], as_of_dates: Sequence[date]) -> pa.Table:
    """The feature table of `of` ("customer" or "article") on these dates."""
    return stacked(of, snapshots(frame(lines), as_of_dates, SPECS[of]))


def stacked(of: str, found: Iterable[tuple[date, pl.DataFrame]]) -> pa.Table:
    """What `snapshots` gives as one table, in the contract's columns."""
    of_spec, contract = SPECS[of], SPECS[of].contract
    parts = [arrow_schema(contract).empty_table()]
    for day, computed in found:
        texts = [key.to_bytes(8, "big").lstrip(b"\0").decode() for key in computed[of_spec.key]]
        ids = pl.DataFrame({of_spec.key: computed[of_spec.key], of_spec.id: texts})
        rows = spec.rows(computed, ids, of_spec)
        dated = rows.append_column("as_of_date", pa.array([day] * rows.num_rows))
        parts.append(dated.select(contract.column_names).cast(arrow_schema(contract)))
    return pa.concat_tables(parts)


def rows(found: pa.Table) -> list[dict[str, Any]]:
    """All rows by column name, in the order of their first two columns."""
    return sorted(found.to_pylist(), key=lambda row: tuple(map(str, list(row.values())[:2])))


def exact(found: pa.Table) -> list[tuple[object, ...]]:
    """All rows, sorted, every double as its eight bytes: equal only if the tables are equal to the last bit."""

    def bits(value: object) -> object:
        return struct.pack(">d", value).hex() if isinstance(value, float) else str(value)

    return sorted(tuple(bits(value) for value in row.values()) for row in found.to_pylist())


def reference(lines: Sequence[Line], as_of_dates: Sequence[date], of: str) -> list[dict[str, Any]]:
    """The feature rows of `of` ("customer" or "article"), one group and one formula at a time."""
    one = _customer if of == "customer" else _article
    found = []
    for as_of in as_of_dates:
        past = [line for line in lines if line[0] < as_of]
        key = 1 if of == "customer" else 2
        for entity in sorted({line[key] for line in past}):
            own = [line for line in past if line[key] == entity]
            found.append({"as_of_date": as_of, f"{of}_id": entity} | one(own, as_of))
    return sorted(found, key=lambda row: tuple(map(str, list(row.values())[:2])))


def _within(own: list[Line], as_of: date, days: int) -> list[Line]:
    return [line for line in own if line[0] >= as_of - timedelta(days)]


def _favourite(own: list[Line]) -> int:
    channels = [line[4] for line in own]
    return min(channels, key=lambda channel: (-channels.count(channel), channel))


def _stddev(own: list[Line]) -> float | None:
    return float(pd.Series([line[3] for line in own]).std()) if len(own) > 1 else None


def _customer(own: list[Line], as_of: date) -> dict[str, Any]:
    first, last = min(line[0] for line in own), max(line[0] for line in own)
    price, recent = pd.Series([line[3] for line in own]), _within(own, as_of, 30)
    return {
        "transaction_count": len(own),
        "first_purchase_date": first,
        "last_purchase_date": last,
        "price_mean": price.mean(),
        "price_min": price.min(),
        "price_max": price.max(),
        "price_stddev": _stddev(own),
        "total_spend": price.sum(),
        "distinct_article_count": len({line[2] for line in own}),
        "preferred_sales_channel_id": _favourite(own),
        "days_active": (last - first).days,
        "purchase_frequency": len(own) / max((last - first).days, 1),
        "days_since_last_purchase": (as_of - last).days,
        "transaction_count_30d": len(recent),
        "price_mean_30d": sum(line[3] for line in recent) / len(recent) if recent else None,
        "total_spend_30d": sum(line[3] for line in recent),
    }


def _article(own: list[Line], as_of: date) -> dict[str, Any]:
    first, last = min(line[0] for line in own), max(line[0] for line in own)
    price = pd.Series([line[3] for line in own])
    return {
        "sales_count": len(own),
        "first_sale_date": first,
        "last_sale_date": last,
        "distinct_customer_count": len({line[1] for line in own}),
        "price_mean": price.mean(),
        "price_stddev": _stddev(own),
        "price_median": price.median(),
        "preferred_sales_channel_id": _favourite(own),
        "days_on_sale": (as_of - first).days,
        "sales_count_7d": len(_within(own, as_of, 7)),
        "sales_count_30d": len(_within(own, as_of, 30)),
        "distinct_customer_count_30d": len({line[1] for line in _within(own, as_of, 30)}),
    }


def leaks(compute: Callable[[Sequence[Line]], pa.Table], lines: Sequence[Line], day: date) -> list[str]:
    """Which ways of changing everything dated on or after `day` change what is computed as of that day; none may."""
    past = [line for line in lines if line[0] < day]
    future = [line for line in lines if line[0] >= day]
    forged = [(when, customer, article, price * 100 + 1, 3) for when, customer, article, price, _ in future]
    customers, articles = [line[1] for line in future][::-1], [line[2] for line in future]
    shuffled = [
        (line[0], c, a, line[3], line[4])
        for line, c, a in zip(future, customers, articles[1:] + articles[:1], strict=True)
    ]
    changes = {"deleted": past, "forged": forged + past, "shuffled": past + shuffled, "doubled": [*lines, *future]}
    untouched = exact(compute(lines))
    return [how for how, changed in changes.items() if exact(compute(changed)) != untouched]
