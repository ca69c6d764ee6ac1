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
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import WEEK
from jobs.reports import assortment, baskets, descriptive, figures
from jobs.reports.recommended import recommendation_counts

READS = (ARTICLES, CUSTOMERS, TRANSACTIONS)
WRITES = (BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS)
SETTINGS = ("accept_drift",)
#: What the run of a week ago published.
READS_EARLIER_RUNS = (RECOMMENDATIONS,)

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


def from_baskets(made: DataFrame, customers: DataFrame, as_of_date: date) -> tuple[list[pl.DataFrame], int]:
    """Metrics of customers, cohorts and churn, long; and the number of weeks since the first purchase."""
    groups = baskets.customer_groups(customers)
    weekly = polars(baskets.weekly_counts(made, groups))
    weeks = int(weekly["weeks_ago"].to_numpy().max()) + 1
    churn = polars(baskets.churn_counts(made, groups))
    cohorts = polars(baskets.cohort_counts(made, as_of_date))
    return [figures.customer_metrics(weekly, churn, weeks), figures.cohort_metrics(cohorts, as_of_date)], weeks


def recommended(job: Job, customers: DataFrame, articles: DataFrame) -> list[pl.DataFrame]:
    """Metrics of the recommendations published a week ago, long; none where there were none."""
    start = job.settings.as_of_date - WEEK
    if not job.exists(RECOMMENDATIONS):
        return []
    published = job.read_spark(RECOMMENDATIONS).where(F.col("as_of_date") == F.lit(start))
    day = F.col("t_dat")
    bought = job.read_spark(TRANSACTIONS).where((day >= F.lit(start)) & (day < F.lit(job.settings.as_of_date)))
    counts = recommendation_counts(published, bought, customers, baskets.customer_groups(customers), articles)
    found = polars(counts)
    return [figures.recommendation_metrics(found)] if len(found) else []


def described(
    lines: DataFrame, sold: DataFrame, daily: pl.DataFrame, by_baskets: pl.DataFrame, job: Job
) -> Iterator[descriptive.Row]:
    """Rows of gold/descriptive_statistics."""
    articles, customers = job.read_spark(ARTICLES), job.read_spark(CUSTOMERS)
    yield from descriptive.daily_rows(daily, job.settings.as_of_date)
    yield from descriptive.ranking_rows(polars(assortment.label_units(sold, articles)))
    yield from descriptive.capped_rows("purchases", by_baskets, descriptive.MOST_BASKETS)
    yield from descriptive.capped_rows("lifetime", polars(assortment.lifetimes(sold)), descriptive.MOST_WEEKS)
    yield from descriptive.age_rows(polars(customers.groupBy("age").agg(F.count("*").alias("customers"))))
    yield from descriptive.together_rows(polars(assortment.sold_together(lines, articles)))
    shares = {
        table: polars(assortment.missing_shares(rows)).row(0, named=True)
        for table, rows in (("articles", articles), ("customers", customers))
    }
    yield from descriptive.missing_rows(shares, _NULL_BY_DESIGN)


def main(job: Job) -> str:
    settings = job.settings
    as_of, run_id = settings.as_of_date, settings.run_id
    articles, customers = job.read_spark(ARTICLES), job.read_spark(CUSTOMERS)
    lines = baskets.known_lines(job.read_spark(TRANSACTIONS), as_of)
    daily = polars(assortment.daily_counts(lines))
    if not len(daily):
        raise JobError(f"{job.warehouse.uri(TRANSACTIONS)}: no purchase before {as_of}; give a later as-of date")
    own = {"as_of_date": [as_of]}
    with kept(baskets.baskets(lines)) as made:
        metrics, weeks = from_baskets(made, customers, as_of)
        metrics.append(figures.channel_metrics(daily, polars(baskets.channel_customers(made))))
        with kept(baskets.customer_states(made)) as states:
            by_baskets = polars(
                states.groupBy(F.col("frequency_0").alias("baskets")).agg(F.count("*").alias("customers"))
            )
            metrics.append(figures.churn_metrics(polars(baskets.churn_check(states))))
            segmented = job.publish(CUSTOMER_SEGMENTS, baskets.segments(states, customers, as_of, run_id), own)
    wanted = missing_weeks(job, weeks - 1)
    with kept(assortment.article_weeks(lines)) as sold:
        departments = polars(assortment.department_counts(sold, articles))
        through = polars(assortment.sell_through(sold))
        people = polars(assortment.department_customers(lines, articles))
        metrics.append(figures.assortment_metrics(departments, through, people, weeks))
        rows = descriptive.statistics(described(lines, sold, daily, by_baskets, job), as_of, run_id)
    job.publish(DESCRIPTIVE_STATISTICS, _arrow(rows, DESCRIPTIVE_STATISTICS), own)
    metrics += recommended(job, customers, articles)
    earlier = earlier_values(job, wanted)
    table = figures.metric_rows(pl.concat(metrics), earlier, as_of, run_id, wanted)
    slices = {"as_of_date": [as_of - timedelta(weeks=week) for week in wanted]}
    count = job.publish(BUSINESS_METRICS, _arrow(table, BUSINESS_METRICS), slices)
    return f"{count:,} figures of {len(wanted)} weeks until {as_of}, {segmented:,} customers in segments"


def _arrow(rows: pl.DataFrame, contract: Contract) -> pa.Table:
    return rows.to_arrow().cast(arrow_schema(contract))


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
