"""What became of what the shop showed: impressions, clicks, carts and purchases by list, source, bucket and position.

The run's week, and the weeks before it in which acts of this week may still count (`attribution_days`): their rows are
made anew, and complete now. Nothing is published where there is no log.
"""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from expectations.events import EVENTS
from expectations.performance import EVERY, EVERY_NUMBER, RECOMMENDATION_PERFORMANCE
from expectations.recommendations import RECOMMENDATIONS
from jobs.metrics.rates import wilson_bounds
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK
from jobs.reports.attribution import DIMENSIONS, impressions_and_acts, week_start, with_recommenders

READS, WRITES = (), (RECOMMENDATION_PERFORMANCE,)
#: The log, and what the runs before published.
READS_EARLIER_RUNS = (EVENTS, RECOMMENDATIONS)
SETTINGS = ("accept_drift", "attribution_days")

#: Dimensions of a row beside week and list.
KINDS: tuple[tuple[str, ...], ...] = ((), ("source", "model_version"), ("bucket",), ("position",))
#: Column with a number of impressions -> the share that it is of all.
RATES = {"clicks": "click_through_rate", "carts": "cart_rate", "purchases": "conversion"}


def transform(impressions: DataFrame, as_of_date: date, attribution_days: int, run_id: str) -> DataFrame:
    """Rows of the table.

    Args:
        impressions: see attribution.with_recommenders.
    """
    rows = impressions.withColumn("week_start_date", week_start(F.col("event_date"))).withColumn(
        "position", F.coalesce("position", F.lit(EVERY_NUMBER))
    )
    parts = [_counts(rows, kind) for kind in KINDS]
    counted = parts[0]
    for part in parts[1:]:
        counted = counted.unionByName(part)
    over = F.date_add("week_start_date", WEEK.days + attribution_days) <= F.lit(as_of_date)
    columns = {"as_of_date": F.lit(as_of_date), "run_id": F.lit(run_id), "is_complete": over}
    for number, rate in RATES.items():
        columns |= _wilson(rate, F.col(number), F.col("impressions"))
    return counted.withColumns(columns).select(RECOMMENDATION_PERFORMANCE.column_names)


def _counts(rows: DataFrame, kind: tuple[str, ...]) -> DataFrame:
    every = {"bucket": F.lit(EVERY_NUMBER), "position": F.lit(EVERY_NUMBER)}
    aside = {name: every.get(name, F.lit(EVERY)) for name in DIMENSIONS if name not in ("list", *kind)}
    stated = rows.where(F.col("position") != EVERY_NUMBER) if "position" in kind else rows
    counted = stated.groupBy("week_start_date", "list", *kind).agg(
        F.count_distinct("who").alias("visitors"),
        F.count("*").alias("impressions"),
        *(F.sum(act).alias(number) for act, number in zip(("click", "cart", "purchase"), RATES, strict=True)),
    )
    return counted.withColumns(aside)


def _wilson(name: str, successes: Column, trials: Column) -> dict[str, Column]:
    """A share with its 95 % interval, as jobs.metrics.rates has it."""
    low, high = wilson_bounds(successes, trials)
    cut = {f"{name}_ci_low": F.greatest(low, F.lit(0.0)), f"{name}_ci_high": F.least(high, F.lit(1.0))}
    return {name: successes / trials} | cut


def impressions(job: Job, weeks: int) -> DataFrame | None:
    """The impressions of so many weeks before the as-of date with what became of them; None where there is no log."""
    if not job.exists(EVENTS):
        return None
    settings = job.settings
    start = settings.as_of_date - weeks * WEEK
    events = job.read_spark(EVENTS)
    # A table that no run has written since it gained a column does not have it.
    newer = [F.lit(None).cast(c.type).alias(c.name) for c in EVENTS.columns if c.name not in events.columns]
    events = events.select("*", *newer)
    shown = impressions_and_acts(events, start, settings.as_of_date, settings.attribution_days)
    recommendations = None
    if job.exists(RECOMMENDATIONS):
        first, day = start - WEEK + timedelta(days=1), F.col("as_of_date")
        recommendations = job.read_spark(RECOMMENDATIONS)
        recommendations = recommendations.where((day >= F.lit(first)) & (day < F.lit(settings.as_of_date)))
    return with_recommenders(shown, recommendations)


def main(job: Job) -> str:
    settings = job.settings
    weeks = 1 + -(-settings.attribution_days // WEEK.days)
    shown = impressions(job, weeks)
    if shown is None:
        return f"no {EVENTS.path}: nothing is known of what the shop showed"
    shown.persist()
    try:
        rows = transform(shown, settings.as_of_date, settings.attribution_days, settings.run_id)
        count = job.publish(RECOMMENDATION_PERFORMANCE, rows, {"as_of_date": [settings.as_of_date]})
    finally:
        shown.unpersist()
    own = {"as_of_date": [settings.as_of_date]}
    job.warehouse.forget(WRITES)  # what was published is read
    columns = ["week_start_date", "list", "source", "bucket", "position", "impressions", "clicks"]
    found = job.read_arrow(RECOMMENDATION_PERFORMANCE, columns, where=own).to_pylist()
    lists = sorted(
        (row["list"], row["impressions"], row["clicks"])
        for row in found
        if (row["source"], row["bucket"], row["position"]) == (EVERY, EVERY_NUMBER, EVERY_NUMBER)
        and row["week_start_date"] == settings.as_of_date - WEEK
    )
    clicked = ", ".join(f"{name} {clicks / number:.2%} of {number:,} clicked" for name, number, clicks in lists[:10])
    return f"{count:,} rows of {weeks} weeks; the last one: {clicked or 'nothing shown'}"


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
