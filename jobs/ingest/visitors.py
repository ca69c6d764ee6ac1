"""What is known of each visitor before the as-of date as silver/visitors: age, city and region, each with how.

A city tells its region and a region its most frequent city, by pairs that other events state; then come the customer's
other devices. Ages that nobody stated are estimated by a regression on what those who stated theirs did.
"""

from __future__ import annotations

import logging
from datetime import date
from typing import NamedTuple

from pyspark.ml import Pipeline
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from expectations.events import AGE_GROUPS, EVENT_TYPES, EVENTS, VISITOR_FACTS, VISITORS
from jobs.platform.job import Job, run

READS, WRITES = (EVENTS, VISITOR_FACTS), (VISITORS,)
SETTINGS = ("accept_drift",)

#: So many visitors have to have stated their age before others' are estimated.
MIN_ANSWERS = 100
_OLDEST = max(last for _, last in AGE_GROUPS.values()) - 1
#: Of the answers one in so many is kept back, to measure the error on.
_HELD_OUT = 5
_NUMBERS = (*(f"{kind}_count" for kind in EVENT_TYPES), "event_days", "article_count", "mean_price", "mean_hour")
_CATEGORIES = ("city", "region")


def _who() -> Column:
    """The device, or where there is none the customer."""
    return F.coalesce("visitor_id", "customer_id").alias("visitor_id")


class Error(NamedTuple):
    """Of estimated ages, in years, on answers that the regression had not seen; `constant`: of their mean instead."""

    mean_absolute: float
    constant: float
    answers: int


def transform(events: DataFrame, facts: DataFrame, as_of_date: date) -> tuple[DataFrame, Error | None]:
    """Rows of silver/visitors, and the error of the ages that were estimated; None where none were.

    Args:
        events: silver/events.
        facts: silver/visitor_facts.
        as_of_date: nothing on or after it is used.
    """
    before = F.col("event_time") < F.lit(as_of_date).cast("timestamp")
    events = events.where(before)
    facts = facts.where(before)
    visitors = (
        events.select(_who(), "customer_id", "event_time")
        .unionByName(facts.select(_who(), "customer_id", "event_time"))
        .groupBy("visitor_id")
        .agg(
            F.max_by("customer_id", F.when(F.col("customer_id").isNotNull(), F.col("event_time"))).alias("customer_id"),
            F.max("event_time").cast("date").alias("last_event_date"),
        )
    )
    for name in ("birth_date", "city", "region"):
        visitors = _with_fact(visitors, facts, name)
    known = _with_ages(_with_pairs(visitors, facts))
    rows, error = _with_estimates(known, events)
    groups = F.coalesce(*(F.when(F.col("age").between(a, b - 1), name) for name, (a, b) in AGE_GROUPS.items()))
    rows = rows.withColumn("as_of_date", F.lit(as_of_date)).withColumn("age_group", groups)
    return rows.select(*VISITORS.column_names), error


def _with_fact(visitors: DataFrame, facts: DataFrame, name: str) -> DataFrame:
    """Visitors with what they stated last, and what their customer did last on any device."""
    of_name = facts.where(F.col("name") == name)
    if name == "birth_date":  # a date that gives no age does not hide an earlier valid one
        of_name = of_name.where(_age(F.col("event_time"), F.col("value")).isNotNull())
    latest = F.max_by("value", F.struct("event_time", "source_line", "value"))
    own = of_name.groupBy(_who()).agg(latest.alias(f"own_{name}"))
    shared = (
        of_name.select(_who(), "event_time", "source_line", "value")
        .join(visitors.select("visitor_id", "customer_id").where("customer_id is not null"), "visitor_id")
        .groupBy("customer_id")
        .agg(latest.alias(f"shared_{name}"))
    )
    return visitors.join(own, "visitor_id", "left").join(shared, "customer_id", "left")


def _with_pairs(visitors: DataFrame, facts: DataFrame) -> DataFrame:
    """Visitors with city and region, and how each is known."""
    place = ("source_file", "source_line")
    cities = facts.where("name = 'city'").select(*place, F.col("value").alias("city"))
    regions = facts.where("name = 'region'").select(*place, F.col("value").alias("region"))
    pairs = cities.join(regions, list(place)).groupBy("city", "region").count()
    for name, other in (("region", "city"), ("city", "region")):
        best = pairs.groupBy(F.col(other).alias(f"own_{other}")).agg(
            F.max_by(name, F.struct("count", name)).alias(f"paired_{name}")
        )
        visitors = visitors.join(best, f"own_{other}", "left")
    for name in ("city", "region"):
        visitors = visitors.withColumns(
            _known(
                name, (f"own_{name}", "stated"), (f"paired_{name}", "region pair"), (f"shared_{name}", "same visitor")
            )
        )
    return visitors


def _known(name: str, *ways: tuple[str, str]) -> dict[str, Column]:
    """A value, and how it is known, by the first way that knows it."""
    how = F.coalesce(*(F.when(F.col(column).isNotNull(), words) for column, words in ways))
    return {name: F.coalesce(*(column for column, _ in ways)), f"{name}_source": how}


def _with_ages(visitors: DataFrame) -> DataFrame:
    """Visitors with the age on the day of their last event."""
    day = F.col("last_event_date")
    ages = visitors.withColumns(
        {f"{whose}_age": _age(day, F.col(f"{whose}_birth_date")) for whose in ("own", "shared")}
    )
    return ages.withColumns(_known("age", ("own_age", "stated"), ("shared_age", "same visitor")))


def _age(at: Column, birth: Column) -> Column:
    """Age at a moment by a birth date; null where that makes none of 0 to 99."""
    years = F.floor(F.months_between(at.cast("date"), birth.try_cast("date")) / 12).cast("int")
    return F.when(years.between(0, _OLDEST), years)


def features(visitors: DataFrame, events: DataFrame) -> DataFrame:
    """What ages are estimated from, for each visitor: what they did and where they are; nothing that they answered."""
    kinds = [F.log1p(F.count_if(F.col("event_type") == kind)).alias(f"{kind}_count") for kind in EVENT_TYPES]
    acts = events.groupBy(_who()).agg(
        *kinds,
        F.log1p(F.countDistinct("event_date")).alias("event_days"),
        F.log1p(F.approx_count_distinct("article_id")).alias("article_count"),
        F.log1p(F.coalesce(F.avg("price"), F.lit(0.0))).alias("mean_price"),
        F.avg(F.hour("event_time")).cast("double").alias("mean_hour"),
    )
    places = [F.coalesce(F.col(name), F.lit("unknown")).alias(name) for name in _CATEGORIES]
    found = visitors.select("visitor_id", *places).join(acts, "visitor_id", "left")
    return found.select("visitor_id", *_CATEGORIES, *(F.coalesce(F.col(n), F.lit(0.0)).alias(n) for n in _NUMBERS))


def _with_estimates(known: DataFrame, events: DataFrame) -> tuple[DataFrame, Error | None]:
    known = known.cache()
    if known.where("age is not null").count() < MIN_ANSWERS or not known.where("age is null").limit(1).count():
        return known, None
    ages = known.select("visitor_id", F.col("age").cast("double").alias("label"))
    rows = features(known, events).join(ages, "visitor_id").cache()
    answered = rows.where("label is not null")
    is_held_out = F.pmod(F.xxhash64("visitor_id"), F.lit(_HELD_OUT)) == 0
    names = [f"{name}_index" for name in _CATEGORIES]
    hot = [f"{name}_hot" for name in _CATEGORIES]
    steps = Pipeline(
        stages=[
            StringIndexer(inputCols=list(_CATEGORIES), outputCols=names, handleInvalid="keep"),
            OneHotEncoder(inputCols=names, outputCols=hot, handleInvalid="keep"),
            VectorAssembler(inputCols=[*_NUMBERS, *hot], outputCol="features"),
            LinearRegression(regParam=0.1),
        ]
    )
    estimate = F.greatest(F.lit(0), F.least(F.lit(_OLDEST), F.round("prediction").cast("int")))
    fitted = steps.fit(answered.where(~is_held_out))
    mean = answered.where(~is_held_out).agg(F.avg("label")).first()[0]  # type: ignore[index]
    judged = fitted.transform(answered.where(is_held_out)).agg(
        F.avg(F.abs(estimate - F.col("label"))), F.avg(F.abs(F.lit(mean) - F.col("label"))), F.count("*")
    )
    found = judged.first()
    assert found is not None
    error = Error(*found)
    estimates = (
        steps.fit(answered).transform(rows.where("label is null")).select("visitor_id", estimate.alias("estimate"))
    )
    filled = known.join(estimates, "visitor_id", "left").withColumns(
        _known("age", ("own_age", "stated"), ("shared_age", "same visitor"), ("estimate", "estimated"))
    )
    return filled, error


def main(job: Job) -> str:
    as_of = job.settings.as_of_date
    rows, error = transform(job.read_spark(EVENTS), job.read_spark(VISITOR_FACTS), as_of)
    count = job.publish(VISITORS, rows, {"as_of_date": [as_of]}, derived_from=[EVENTS, VISITOR_FACTS])
    if error is None:
        return f"{count:,} visitors; no age was estimated (that takes {MIN_ANSWERS} answers)"
    words = (
        f"ages not stated are estimated, with a mean absolute error of {error.mean_absolute:.1f} years (of their mean:"
        f" {error.constant:.1f}) on {error.answers:,} answers kept back"
    )
    logging.info(words)
    return f"{count:,} visitors; {words}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS, any_day=True)
