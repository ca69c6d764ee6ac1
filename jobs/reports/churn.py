"""The probability that a customer churns, from recency and frequency, and how it compares with what then happened."""

from __future__ import annotations

import polars as pl

from expectations.business import ALL
from jobs.reports.baskets import CHURN_DAYS, FREQUENCY_BANDS, RECENCY_BANDS
from jobs.reports.figures import by_segment, long, share


def churn_shares(states: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Of the customers known that many days before the as-of date the share who bought nothing in the 90 days after,
    by recency_band and frequency_band: churn_probability.

    Args:
        states: see baskets.state_counts.
    """
    gone = pl.col("customers").filter(~pl.col("has_bought")).sum()
    cells = _cells(states, horizon).group_by("recency_band", "frequency_band")
    return cells.agg(churn_probability=gone / pl.col("customers").sum())


def _cells(states: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """The states as of then with their frequency_band."""
    band = pl.sum_horizontal((pl.col("frequency") > limit).cast(pl.Int32) for limit in FREQUENCY_BANDS)
    return states.filter(pl.col("horizon") == horizon).with_columns(frequency_band=band)


def churn_metrics(states: pl.DataFrame) -> pl.DataFrame:
    """The churn probabilities as of 90 days ago, learnt from the 90 days before that, beside what then happened; of all
    and by recency then.

    Args:
        states: see baskets.state_counts.
    """
    predicted, count = pl.col("churn_probability"), pl.col("customers")
    has_churned = (~pl.col("has_bought")).cast(pl.Float64)
    check = (
        _cells(states, CHURN_DAYS)
        .join(churn_shares(states, 2 * CHURN_DAYS), ["recency_band", "frequency_band"])
        .select(
            "recency_band",
            "customers",
            weeks_ago=pl.lit(0, pl.Int32),
            probability=predicted * count,
            churned=has_churned * count,
            squared_error=(predicted - has_churned) ** 2 * count,
        )
    )
    limits = [f"up to {limit} days" for limit in RECENCY_BANDS] + [f"over {RECENCY_BANDS[-1]} days"]
    band = pl.col("recency_band").replace_strict(dict(enumerate(limits)), return_dtype=pl.String)
    values = {
        "churn_probability": share("probability", "customers"),
        "churn_realised": share("churned", "customers"),
        "churn_brier": share("squared_error", "customers"),
    }
    both = ((ALL, pl.lit(ALL)), ("recency_band", band))
    return pl.concat([long(by_segment(check, segment), kind, values, pl.col("customers")) for kind, segment in both])
