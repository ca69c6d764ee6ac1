"""Article features as of a date: one row per article with an earlier sale."""

from __future__ import annotations

from expectations.articles import ARTICLES
from expectations.features import ARTICLE_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features.histories import Histories
from jobs.features.lifetimes import Formulas, Lifetimes, Values
from jobs.features.snapshots import publish_snapshots
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS, ARTICLES), (ARTICLE_FEATURES,)


def lifetime(history: Histories) -> Values:
    """The columns of each article that depend on its lines alone."""
    return {
        "sales_count": history.count,
        "first_sale_date": history.first_day,
        "last_sale_date": history.last_day,
        "distinct_customer_count": history.distinct_others,
        "price_mean": history.price_mean,
        "price_stddev": history.price_stddev,
        "price_median": history.price_median,
        "preferred_sales_channel_id": history.favourite_channel,
    }


def as_of(recent: Histories, articles: Lifetimes, day: int) -> Values:
    """The columns that also depend on the as-of day; `recent` holds the lines of the 30 days before it."""
    last_7_days = recent.since(day - 7)
    return {
        "days_on_sale": day - articles.values["first_sale_date"],
        "sales_count_7d": last_7_days.spread(last_7_days.count, articles.entities),
        "sales_count_30d": recent.spread(recent.count, articles.entities),
        "distinct_customer_count_30d": recent.spread(recent.distinct_others, articles.entities),
    }


FORMULAS = Formulas(ARTICLE_FEATURES, "article_key", "customer_key", lifetime, as_of)


def main(job: Job) -> str:
    return publish_snapshots(job, FORMULAS, ARTICLES, job.settings.feature_dates)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
