"""Surrogate integer keys of customers and articles: given once, kept for good.

A 64-character customer id is what people and files use; joins, shuffles and models use its key, which takes four bytes.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from expectations.contract import Contract


def key_of(entity_id: str) -> str:
    """The column that holds the surrogate key of an id column: customer_key of customer_id."""
    return f"{entity_id.removesuffix('_id')}_key"


def with_keys(rows: DataFrame, contract: Contract, known: DataFrame | None) -> DataFrame:
    """Adds the surrogate key: an id of `known` keeps its key, new ids are numbered on from the highest, by id.

    Args:
        rows: one row per id.
        contract: the table of these rows, with a key of one column, the id.
        known: the table as last published; None before the first publish.
    """
    (entity_id,) = contract.key
    key = key_of(entity_id)
    # One partition numbers the new ids: all of them once, at the first delivery, and few ever after.
    number = F.row_number().over(Window.orderBy(entity_id))
    if known is None:
        return rows.withColumn(key, number - 1)
    highest = known.agg(F.max(key)).first()
    assert highest is not None, "an aggregate has one row"
    next_key = 0 if highest[0] is None else highest[0] + 1
    keyed = rows.join(known.select(entity_id, key), entity_id, "left")
    new = keyed.where(F.col(key).isNull()).withColumn(key, number - 1 + next_key)
    return keyed.where(F.col(key).isNotNull()).unionByName(new)
