"""A contestant of `make bench-baskets`: python -m ... METHOD FILE MIN_COUNT SAID.

FILE holds basket, item, customer and day of each element. SAID gets the number of frequent pairs, the sum of their
baskets, and a sum in which each pair has a weight of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl

#: Makes of a pair its weight.
MODULUS = 10_007


def summary(left: np.ndarray, right: np.ndarray, count: np.ndarray) -> list[int]:
    """What all contestants must agree on; left < right."""
    weight = (left.astype(np.int64) * 31 + right) % MODULUS
    return [len(count), int(count.sum()), int((weight * count).sum())]


def atelier(rows: pl.DataFrame, min_count: int) -> list[int]:
    from jobs.baskets.baskets import Baskets
    from jobs.baskets.itemsets import frequent_itemsets

    basket = rows["basket"].to_numpy()
    first = np.flatnonzero(np.diff(basket, prepend=-1))
    customer, day = (rows[name].to_numpy()[first] for name in ("customer", "day"))
    baskets = Baskets(basket, rows["item"].to_numpy(), customer, day, int(rows["item"].to_numpy().max()) + 1)
    mined = frequent_itemsets(baskets, min_count, 2)
    left, right = mined.codes[mined.by_size[1].items].T
    return summary(left, right, mined.by_size[1].basket_count)


def sparse_product(rows: pl.DataFrame, min_count: int) -> list[int]:
    """Items by items, in blocks of rows."""
    from scipy import sparse

    item, basket = rows["item"].to_numpy(), rows["basket"].to_numpy()
    held = sparse.csr_matrix((np.ones(len(item), dtype=np.int32), (basket, item)))
    by_item, parts = held.T.tocsr(), []
    for start in range(0, by_item.shape[0], 2048):
        together = (by_item[start : start + 2048] @ held).tocoo()
        kept = (together.row + start < together.col) & (together.data >= min_count)
        parts.append((together.row[kept] + start, together.col[kept], together.data[kept]))
    return summary(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def spark_self_join(file: str, min_count: int) -> list[int]:
    from pyspark.sql import functions as F

    from jobs.platform.spark import spark_session

    rows = spark_session("bench").read.parquet(file).select("basket", "item")
    often = rows.groupBy("item").count().where(F.col("count") >= min_count).select("item")
    rows = rows.join(often, "item")
    pairs = rows.alias("a").join(rows.alias("b"), "basket").where(F.col("a.item") < F.col("b.item"))
    found = pairs.groupBy(F.col("a.item").alias("left"), F.col("b.item").alias("right")).count()
    return _of_spark(found.where(F.col("count") >= min_count))


def spark_fp_growth(file: str, min_count: int) -> list[int]:
    from pyspark.ml.fpm import FPGrowth
    from pyspark.sql import functions as F

    from jobs.platform.spark import spark_session

    rows = spark_session("bench").read.parquet(file)
    baskets = rows.groupBy("basket").agg(F.collect_list("item").alias("items")).cache()
    share = (min_count - 0.5) / baskets.count()
    found = FPGrowth(minSupport=share).fit(baskets).freqItemsets.where(F.size("items") == 2)
    items = F.array_sort("items")
    return _of_spark(found.select(items[0].alias("left"), items[1].alias("right"), F.col("freq").alias("count")))


def _of_spark(found) -> list[int]:  # type: ignore[no-untyped-def]
    rows = found.toArrow()
    return summary(*(rows[name].to_numpy() for name in ("left", "right", "count")))


def mlxtend(rows: pl.DataFrame, min_count: int, method: str) -> list[int]:
    import pandas as pd
    from mlxtend import frequent_patterns

    baskets = rows["basket"].n_unique()
    items, item = np.unique(rows["item"].to_numpy(), return_inverse=True)
    held = np.zeros((baskets, len(items)), dtype=bool)
    held[rows["basket"].rank("dense").to_numpy() - 1, item] = True
    found = getattr(frequent_patterns, method)(pd.DataFrame(held), min_support=(min_count - 0.5) / baskets, max_len=2)
    found = found[found.itemsets.map(len) == 2]
    left, right = np.sort(items[np.array([list(some) for some in found.itemsets])], axis=1).T
    return summary(left, right, np.rint(found.support.to_numpy() * baskets).astype(np.int64))


def main(method: str, file: str, min_count: str, said: str) -> None:
    """Find the pairs by one method."""
    least = int(min_count)
    by_spark = {"Spark self-join": spark_self_join, "Spark FP-Growth": spark_fp_growth}
    if method in by_spark:
        found = by_spark[method](file, least)
    elif method.startswith("mlxtend"):
        found = mlxtend(pl.read_parquet(file), least, {"mlxtend FP-Growth": "fpgrowth"}.get(method, "apriori"))
    else:
        found = {"atelier": atelier, "sparse product": sparse_product}[method](pl.read_parquet(file), least)
    Path(said).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
