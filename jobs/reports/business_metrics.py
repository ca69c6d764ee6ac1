"""Business metrics of the week, customer segments, and the counts that the pictures of the run's page are drawn from.

All of them come from one pass over the purchases (jobs.reports.passes). The week's slice of gold/business_metrics is
added to those that are there; weeks before it that are missing are filled in by the first run. Of purchases older
than half a year a later run reads only the totals (jobs.reports.history).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.articles import ARTICLES
from expectations.business import ALL, BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.events import VISITORS
from expectations.operations import DELIVERIES
from expectations.performance import EVERY, EVERY_NUMBER, RECOMMENDATION_PERFORMANCE
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import TRANSACTIONS
from jobs.platform.data_files import DataFile
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import WEEK
from jobs.platform.tasks import in_tasks
from jobs.reports import assortment, baskets, churn, descriptive, figures, history, passes
from jobs.reports.attribution import RECOMMENDED
from jobs.reports.history import History
from jobs.reports.recommended import recommendation_counts, recommendation_metrics

READS = (ARTICLES, CUSTOMERS, TRANSACTIONS, DELIVERIES, RECOMMENDATION_PERFORMANCE)
WRITES = (BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS)
SETTINGS = ("accept_drift",)
#: What the run of a week ago published, and what a run on the shop's events found.
READS_EARLIER_RUNS = (RECOMMENDATIONS, VISITORS)

#: A bucket of so many lines takes some 300 MB while it is counted.
LINES_PER_BUCKET = 2_000_000
#: Weeks before the run's own that a table without them gets.
HISTORY_WEEKS = 104
#: Columns whose null does not mean that a value is missing.
_NULL_BY_DESIGN = ("delisted_date", "left_date", "replaced_by")


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


def recommended(job: Job) -> list[pl.DataFrame]:
    """Metrics of the recommendations published a week ago, long; none where there were none."""
    end = job.settings.as_of_date
    start = end - WEEK
    if not any(partition["as_of_date"] == start.isoformat() for partition in job.partitions(RECOMMENDATIONS)):
        return []
    published = job.read_spark(RECOMMENDATIONS).where(F.col("as_of_date") == F.lit(start))
    day = F.col("t_dat")
    bought = job.read_spark(TRANSACTIONS).where((day >= F.lit(start)) & (day < F.lit(end)))
    counts = recommendation_counts(published, bought, job.read_spark(CUSTOMERS), job.read_spark(ARTICLES))
    return [recommendation_metrics(frame(counts.toArrow()))]


def clicked(job: Job) -> list[pl.DataFrame]:
    """Click-through rates of the week's recommendations, long; none where the shop keeps no log."""
    if not job.exists(RECOMMENDATION_PERFORMANCE):
        return []
    as_of, name = job.settings.as_of_date, "click_through_rate"
    which = {"source": [EVERY], "model_version": [EVERY], "position": [EVERY_NUMBER], "list": [RECOMMENDED]}
    columns = ["bucket", "visitors", name, f"{name}_ci_low", f"{name}_ci_high"]
    dates = {"as_of_date": [as_of], "week_start_date": [as_of - WEEK]}
    rows = frame(job.read_arrow(RECOMMENDATION_PERFORMANCE, columns, which | dates))
    is_all = pl.col("bucket") == EVERY_NUMBER
    return [
        rows.select(
            pl.lit(0, pl.Int32).alias("weeks_ago"),
            pl.when(is_all).then(pl.lit(ALL)).otherwise(pl.lit("bucket")).alias("segment_type"),
            pl.when(is_all).then(pl.lit(ALL)).otherwise(pl.col("bucket").cast(pl.String)).alias("segment"),
            pl.lit(name).alias("metric"),
            pl.col(name).alias("value"),
            pl.col("visitors").alias("customer_count"),
            pl.col(f"{name}_ci_low").alias("ci_low"),
            pl.col(f"{name}_ci_high").alias("ci_high"),
        )
    ]


@dataclass(frozen=True)
class Counts:
    """What the purchases come to.

    Attributes:
        weekly, states, cohorts, daily: see the functions of baskets that count them.
        departments, articles, prices, customers, together: see those of assortment.
    """

    weekly: pl.DataFrame
    states: pl.DataFrame
    cohorts: pl.DataFrame
    daily: pl.DataFrame
    departments: pl.DataFrame
    articles: pl.DataFrame
    prices: pl.DataFrame
    customers: pl.DataFrame
    together: pl.DataFrame

    @property
    def weeks(self) -> int:
        """From the first purchase to the as-of date."""
        return 1 + (int(self.daily["days_before"].to_numpy().max()) - 1) // WEEK.days


def counted(job: Job, past: History | None, articles: pl.DataFrame) -> Counts:
    """Count the purchases, publish gold/customer_segments, and leave the older ones added up for the next run.

    Args:
        job: the run.
        past: older purchases, of which no line is read then.
        articles: silver/articles.
    """
    as_of = job.settings.as_of_date
    files = files_of(job, past)
    buckets = max(1, math.ceil(sum(file.rows for _, file in files) / LINES_PER_BUCKET))
    since, horizon = past.since if past else None, history.WEEKS * WEEK.days
    of = passes.Pass(as_of, since, horizon, buckets)
    parts = in_tasks(job.spark, partial(passes.cut, of, files), len(files), passes.PART)
    count = partial(passes.count, of, assortment.labels(articles))
    found = parts.repartitionById(buckets, F.col("bucket")).mapInArrow(count, passes.FOUND)
    found.persist()
    try:
        counts = added_up(found)
        if counts is None:
            raise JobError(f"{job.warehouse.uri(TRANSACTIONS)}: no purchase before {as_of}; give a later as-of date")
        if past:
            counts = replace(counts, daily=pl.concat([counts.daily, past.daily(as_of).select(counts.daily.columns)]))
        publish_segments(job, found, counts.states)

        def write(uri: str) -> list[tuple[str, str]]:
            past_parts = found.where(F.col("kind").isin(passes.PAST_CUSTOMERS, passes.PAST_PRICES))
            written = past_parts.mapInArrow(partial(passes.keep, uri), "kind string, path string").collect()
            return [(row["kind"], row["path"]) for row in written]

        history.leave(job, counts.daily, past, write)
        return counts
    finally:
        found.unpersist()


def files_of(job: Job, past: History | None) -> list[tuple[str, DataFile]]:
    """What is read: lines before the as-of date, customers, and the totals of earlier lines."""
    lines = [file for file in job.data_files(TRANSACTIONS) if file.is_before("t_dat", job.settings.as_of_date)]
    if past:
        lines = [file for file in lines if file.is_since("t_dat", past.since)]
    files = [(passes.LINES, file) for file in lines] + [(passes.CUSTOMERS, file) for file in job.data_files(CUSTOMERS)]
    return files + (past.files if past else [])


def added_up(found: DataFrame) -> Counts | None:
    """The counts of all buckets; None where there is no purchase.

    Args:
        found: what passes.count returned.
    """
    parts: dict[str, list[pl.DataFrame]] = {kind: [] for kind in passes.COUNTS}
    for row in found.where(F.col("kind").isin(list(parts))).collect():
        parts[row["kind"]].append(passes.read(row["part"]))
    if not any(len(part) for part in parts["weekly"]):
        return None
    return Counts(**{kind: baskets.added_up(parts[kind], *key) for kind, key in passes.COUNTS.items()})


def described(job: Job, counts: Counts, articles: pl.DataFrame) -> Iterator[descriptive.Row]:
    """Rows of gold/descriptive_statistics.

    Args:
        job: the run.
        counts: of the purchases.
        articles: silver/articles.
    """
    now = counts.states.filter(pl.col("horizon") == 0).select("frequency", "customers")
    lifetimes = counts.articles.filter(pl.col("of") == assortment.LIFETIME)
    yield from descriptive.daily_rows(counts.daily, job.settings.as_of_date)
    yield from descriptive.price_rows(counts.prices)
    yield from descriptive.ranking_rows(counts.articles)
    yield from descriptive.capped_rows("purchases", now, baskets.MOST_BASKETS)
    weeks = lifetimes.select(pl.col("label").cast(pl.Int32).alias("weeks"), "articles")
    yield from descriptive.capped_rows("lifetime", weeks, descriptive.MOST_WEEKS)
    yield from descriptive.together_rows(counts.together)
    columns = [name for name in columns_of(job, CUSTOMERS) if name not in CUSTOMERS.key]
    people = assortment.missing_counts(map(frame, job.read_batches(CUSTOMERS, columns)), "age")
    yield from descriptive.age_rows(people)
    of_age = people.with_columns(age=pl.when(pl.col("age").is_null()).then(pl.col("rows")).otherwise(0))
    yield from descriptive.missing_rows("customers", of_age, _NULL_BY_DESIGN)
    yield from descriptive.missing_rows("articles", assortment.missing_counts([articles]), _NULL_BY_DESIGN)
    dates = [date.fromisoformat(partition["as_of_date"]) for partition in job.partitions(VISITORS)]
    if known := [day for day in dates if day <= job.settings.as_of_date]:
        visitors = job.read_arrow(VISITORS, ["region", "age_group"], {"as_of_date": [max(known)]})
        yield from descriptive.place_rows(assortment.place_counts(frame(visitors)))


def publish_segments(job: Job, found: DataFrame, states: pl.DataFrame) -> None:
    """Publish gold/customer_segments.

    Args:
        job: the run.
        found: what passes.count returned.
        states: see baskets.state_counts.
    """
    as_of, now = job.settings.as_of_date, states.filter(pl.col("horizon") == 0)
    shares = {(r, f): share for r, f, share in churn.churn_shares(states, baskets.CHURN_DAYS).iter_rows()}
    mean_revenue = float(now["revenue"].sum()) / int(now["customers"].sum())
    stamp = {"as_of_date": as_of.isoformat(), "run_id": job.settings.run_id}
    customers = found.where(F.col("kind") == passes.NOW)
    with job.staging(CUSTOMER_SEGMENTS) as staged:
        stage = partial(passes.stage_segments, staged, shares, mean_revenue, stamp)
        paths = [row["path"] for row in customers.mapInArrow(stage, "path string").collect()]
        job.publish_staged(staged, paths, {"as_of_date": [as_of]})


def usable_history(job: Job) -> History | None:
    """The totals of older purchases; None if the table lacks more than the newest weeks, which need the lines."""
    found = history.newest(job)
    if found is None:
        return None
    lacking = missing_weeks(job, found.weeks(job.settings.as_of_date) - 1)
    return found if max(lacking) <= history.RECENT_WEEKS else None


def main(job: Job) -> str:
    settings = job.settings
    as_of, run_id = settings.as_of_date, settings.run_id
    articles = frame(job.read_arrow(ARTICLES, columns_of(job, ARTICLES)))
    past = usable_history(job)
    counts = counted(job, past, articles)
    rows = descriptive.statistics(described(job, counts, articles), as_of, run_id)
    job.publish(DESCRIPTIVE_STATISTICS, _arrow(rows, DESCRIPTIVE_STATISTICS), {"as_of_date": [as_of]})
    metrics = [
        figures.customer_metrics(counts.weekly, counts.weeks),
        figures.cohort_metrics(counts.cohorts, as_of),
        churn.churn_metrics(counts.states),
        figures.channel_metrics(counts.daily, counts.weekly),
        figures.assortment_metrics(counts.departments, counts.articles, counts.customers, counts.weeks),
        *recommended(job),
        *clicked(job),
    ]
    wanted = missing_weeks(job, counts.weeks - 1)
    table = figures.metric_rows(pl.concat(metrics), earlier_values(job, wanted), as_of, run_id, wanted)
    slices = {"as_of_date": [as_of - timedelta(weeks=week) for week in wanted]}
    count = job.publish(BUSINESS_METRICS, _arrow(table, BUSINESS_METRICS), slices)
    segmented = job.published[CUSTOMER_SEGMENTS.path]["rows"]
    lines = f"lines since {past.since}" if past else "all lines"
    return f"{count:,} figures of {len(wanted)} weeks until {as_of}, {segmented:,} customers in segments; {lines} read"


def columns_of(job: Job, contract: Contract) -> list[str]:
    """The contract's columns that the table has."""
    there = {field.name for field in job.table(contract).schema().fields}
    return [name for name in contract.column_names if name in there]


def frame(rows: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """Rows as Polars has them."""
    found = pl.from_arrow(rows)
    assert isinstance(found, pl.DataFrame)
    return found


def _arrow(rows: pl.DataFrame, contract: Contract) -> pa.Table:
    return rows.to_arrow().cast(arrow_schema(contract))


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
