"""Customer features as of a date: one row per customer with an earlier purchase."""

from __future__ import annotations

import numpy as np

from expectations.customers import CUSTOMERS
from expectations.features import CUSTOMER_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features.histories import Histories
from jobs.features.lifetimes import Formulas, Lifetimes, Values
from jobs.features.snapshots import publish_snapshots
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS, CUSTOMERS), (CUSTOMER_FEATURES,)


def lifetime(history: Histories) -> Values:
    """The columns of each customer that depend on their lines alone."""
    days_active = history.last_day - history.first_day
    return {
        "transaction_count": history.count,
        "first_purchase_date": history.first_day,
        "last_purchase_date": history.last_day,
        "price_mean": history.price_mean,
        "price_min": history.price_min,
        "price_max": history.price_max,
        "price_stddev": history.price_stddev,
        "total_spend": history.price_sum,
        "distinct_article_count": history.distinct_others,
        "preferred_sales_channel_id": history.favourite_channel,
        "days_active": days_active,
        "purchase_frequency": history.count / np.maximum(days_active, 1),
    }


def as_of(recent: Histories, customers: Lifetimes, day: int) -> Values:
    """The columns that also depend on the as-of day; `recent` holds the lines of the 30 days before it."""
    count_30d = recent.spread(recent.count, customers.entities)
    spend_30d = recent.spread(recent.price_sum, customers.entities)
    with np.errstate(invalid="ignore"):
        price_mean_30d = spend_30d / count_30d  # NaN, so null, where there was none
    return {
        "days_since_last_purchase": day - customers.values["last_purchase_date"],
        "transaction_count_30d": count_30d,
        "price_mean_30d": price_mean_30d,
        "total_spend_30d": spend_30d,
    }


FORMULAS = Formulas(CUSTOMER_FEATURES, "customer_key", "article_key", lifetime, as_of)


def main(job: Job) -> str:
    return publish_snapshots(job, FORMULAS, CUSTOMERS, job.settings.feature_dates)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
