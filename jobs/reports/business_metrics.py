"""Business metrics of the week, customer segments, and the counts that the pictures of the run's page are drawn from.

All of them come from a few shared passes over the purchases. The week's slice of gold/business_metrics is added to
those that are there; weeks before it that the table lacks are filled in by the first run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.articles import ARTICLES
from expectations.business import BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.events import VISITORS
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import WEEK
from jobs.reports import assortment, baskets, churn, descriptive, figures
from jobs.reports.recommended import recommendation_counts, recommendation_metrics

READS = (ARTICLES, CUSTOMERS, TRANSACTIONS)
WRITES = (BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS)
SETTINGS = ("accept_drift",)
#: What the run of a week ago published, and what a run on the shop's events found.
READS_EARLIER_RUNS = (RECOMMENDATIONS, VISITORS)

#: Weeks before the run's own that a table without them gets.
HISTORY_WEEKS = 104
#: Columns whose null says something else than that a value is missing.
_NULL_BY_DESIGN = ("delisted_date", "left_date", "replaced_by")


def polars(rows: DataFrame) -> pl.DataFrame:
    """Counts, which do not grow with the purchases, as Polars has them."""
    found = pl.from_arrow(rows.toArrow())
    assert isinstance(found, pl.DataFrame)
    return found


@contextmanager
def kept(rows: DataFrame) -> Iterator[DataFrame]:
    """Rows that several counts are made from: computed once."""
    rows.persist()
    try:
        yield rows
    finally:
        rows.unpersist()


def missing_weeks(job: Job, oldest: int) -> list[int]:
    """The run's own week, 0, and those before it back to `oldest` that the table has no slice of."""
    there = {p["as_of_date"] for p in job.partitions(BUSINESS_METRICS)}
    as_of = job.settings.as_of_date
    earlier = range(1, min(oldest, HISTORY_WEEKS) + 1)
    return [0, *(week for week in earlier if (as_of - week * WEEK).isoformat() not in there)]


def earlier_values(job: Job, weeks: list[int]) -> pl.DataFrame:
    """What the table has of the weeks that changes are counted from."""
    as_of = job.settings.as_of_date
    columns = ["as_of_date", "segment_type", "segment", "metric", "value"]
    if not job.exists(BUSINESS_METRICS):
        return pl.DataFrame(
            schema={c: pl.Date if c == "as_of_date" else pl.String for c in columns[:-1]} | {"value": pl.Float64}
        )
    dates = {as_of - (week + count) * WEEK for week in weeks for count in (1, 52)}
    found = pl.from_arrow(job.read_arrow(BUSINESS_METRICS, columns, {"as_of_date": sorted(dates)}))
    assert isinstance(found, pl.DataFrame)
    return found.filter(~pl.col("as_of_date").is_in([as_of - week * WEEK for week in weeks]))


def recommended(job: Job, customers: DataFrame, groups: DataFrame, articles: DataFrame) -> list[pl.DataFrame]:
    """Metrics of the recommendations published a week ago, long; none where there were none."""
    start = job.settings.as_of_date - WEEK
    if not job.exists(RECOMMENDATIONS):
        return []
    published = job.read_spark(RECOMMENDATIONS).where(F.col("as_of_date") == F.lit(start))
    day = F.col("t_dat")
    bought = job.read_spark(TRANSACTIONS).where((day >= F.lit(start)) & (day < F.lit(job.settings.as_of_date)))
    counts = recommendation_counts(published, bought, customers, groups, articles)
    found = polars(counts)
    return [recommendation_metrics(found)] if len(found) else []


def described(
    job: Job, daily: pl.DataFrame, states: pl.DataFrame, articles: pl.DataFrame, together: pl.DataFrame
) -> Iterator[descriptive.Row]:
    """Rows of gold/descriptive_statistics.

    Args:
        daily, articles, together: see assortment.daily_counts, article_counts, sold_together.
        states: see baskets.state_counts.
    """
    now = states.filter(pl.col("horizon") == 0).select("frequency", "customers")
    lifetimes = articles.filter(pl.col("of") == assortment.LIFETIME)
    yield from descriptive.daily_rows(daily, job.settings.as_of_date)
    yield from descriptive.ranking_rows(articles)
    yield from descriptive.capped_rows("purchases", now, baskets.MOST_BASKETS)
    weeks = lifetimes.select(pl.col("label").cast(pl.Int32).alias("weeks"), "articles")
    yield from descriptive.capped_rows("lifetime", weeks, descriptive.MOST_WEEKS)
    yield from descriptive.together_rows(together)
    people = polars(assortment.missing_counts(job.read_spark(CUSTOMERS), "age"))
    yield from descriptive.age_rows(people)
    of_age = people.with_columns(age=pl.when(pl.col("age").is_null()).then(pl.col("rows")).otherwise(0))
    yield from descriptive.missing_rows("customers", of_age, _NULL_BY_DESIGN)
    missing = polars(assortment.missing_counts(job.read_spark(ARTICLES)))
    yield from descriptive.missing_rows("articles", missing, _NULL_BY_DESIGN)
    dates = [date.fromisoformat(partition["as_of_date"]) for partition in job.partitions(VISITORS)]
    if known := [day for day in dates if day <= job.settings.as_of_date]:
        visitors = job.read_spark(VISITORS).where(F.col("as_of_date") == F.lit(max(known)))
        yield from descriptive.place_rows(polars(assortment.place_counts(visitors)))


def publish_segments(job: Job, made: DataFrame, states: pl.DataFrame) -> int:
    """Publish gold/customer_segments; returns the number of customers.

    Args:
        made: see baskets.baskets.
        states: see baskets.state_counts.
    """
    as_of, now = job.settings.as_of_date, states.filter(pl.col("horizon") == 0)
    shares = {(r, f): share for r, f, share in churn.churn_shares(states, baskets.CHURN_DAYS).iter_rows()}
    mean_revenue = float(now["revenue"].sum()) / int(now["customers"].sum())
    customers = job.read_spark(CUSTOMERS)
    rows = baskets.segments(made, customers, shares, mean_revenue, as_of, job.settings.run_id)
    return job.publish(CUSTOMER_SEGMENTS, rows, {"as_of_date": [as_of]})


def main(job: Job) -> str:
    settings = job.settings
    as_of, run_id = settings.as_of_date, settings.run_id
    articles, groups = job.read_spark(ARTICLES), baskets.customer_groups(job.read_spark(CUSTOMERS))
    lines = baskets.known_lines(job.read_spark(TRANSACTIONS), as_of)
    daily = polars(assortment.daily_counts(lines))
    if not len(daily):
        raise JobError(f"{job.warehouse.uri(TRANSACTIONS)}: no purchase before {as_of}; give a later as-of date")
    with kept(baskets.baskets(lines, groups)) as made:
        weekly, states = polars(baskets.weekly_counts(made)), polars(baskets.state_counts(made))
        cohorts = polars(baskets.cohort_counts(made, as_of))
        segmented = publish_segments(job, made, states)
    weeks = int(weekly["weeks_ago"].to_numpy().max()) + 1
    with kept(assortment.article_weeks(lines)) as sold:
        departments = polars(assortment.department_counts(sold, articles))
        counted = polars(assortment.article_counts(sold, articles))
    people = polars(assortment.department_customers(lines, articles))
    together = polars(assortment.sold_together(lines, articles))
    rows = descriptive.statistics(described(job, daily, states, counted, together), as_of, run_id)
    job.publish(DESCRIPTIVE_STATISTICS, _arrow(rows, DESCRIPTIVE_STATISTICS), {"as_of_date": [as_of]})
    metrics = [
        figures.customer_metrics(weekly, weeks),
        figures.cohort_metrics(cohorts, as_of),
        churn.churn_metrics(states),
        figures.channel_metrics(daily, weekly),
        figures.assortment_metrics(departments, counted, people, weeks),
        *recommended(job, job.read_spark(CUSTOMERS), groups, articles),
    ]
    wanted = missing_weeks(job, weeks - 1)
    table = figures.metric_rows(pl.concat(metrics), earlier_values(job, wanted), as_of, run_id, wanted)
    slices = {"as_of_date": [as_of - timedelta(weeks=week) for week in wanted]}
    count = job.publish(BUSINESS_METRICS, _arrow(table, BUSINESS_METRICS), slices)
    return f"{count:,} figures of {len(wanted)} weeks until {as_of}, {segmented:,} customers in segments"


def _arrow(rows: pl.DataFrame, contract: Contract) -> pa.Table:
    return rows.to_arrow().cast(arrow_schema(contract))


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
