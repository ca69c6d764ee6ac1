"""What the shop showed, and what visitors then did with it: each act counts for one impression at most.

An act (click, cart, purchase) belongs to the last impression of its article that was shown to the same customer, or on
the same device, at most `attribution_days` before it. An impression that is followed by several acts of a kind counts
once, so that rates are shares of the impressions. A view of an article's page counts as a click.
"""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from expectations.performance import UNKNOWN
from expectations.recommendations import BUCKETS

#: Event type -> what it counts as.
ACTS = {"view": "click", "click": "click", "cart": "cart", "purchase": "purchase"}
#: The list of gold/recommendations: where its events lack the source of an article, the table has it.
RECOMMENDED = "recommendations"
#: What impressions are grouped by.
DIMENSIONS = ("list", "source", "model_version", "bucket", "position")


def impressions_and_acts(events: DataFrame, start: date, end: date, attribution_days: int) -> DataFrame:
    """The impressions of start <= day < end, one row each, with the acts before `end` that count for them.

    Args:
        events: rows of silver/events.
        attribution_days: see the module.

    Returns:
        impression_id, who, event_date, customer_id, article_id, list, source, model_version, bucket, position as the
        events have them; click, cart, purchase: 1 or 0.
    """
    day, names = F.col("event_date"), list(ACTS)
    of_time = events.where((day >= F.lit(start)) & (day < F.lit(end)))
    shown = of_time.where((F.col("event_type") == "impression") & F.col("list").isNotNull()).select(
        F.concat_ws("\x1f", "event_id", "article_id").alias("impression_id"),
        F.coalesce(F.concat(F.lit("c:"), "customer_id"), F.concat(F.lit("v:"), "visitor_id")).alias("who"),
        *("event_date", "event_time", "customer_id", "visitor_id", "article_id", *DIMENSIONS),
    )
    kinds = F.create_map(*(F.lit(word) for pair in ACTS.items() for word in pair))
    acts = of_time.where(F.col("event_type").isin(names)).select(
        F.concat_ws("\x1f", "event_id", "article_id", "event_type").alias("act_id"),
        kinds[F.col("event_type")].alias("kind"),
        *("event_time", "customer_id", "visitor_id", "article_id"),
    )
    found = _counted(shown, acts, timedelta(days=attribution_days))
    done = found.groupBy("impression_id").agg(*(F.max(F.col("kind") == k).cast("int").alias(k) for k in _KINDS))
    columns = ("impression_id", "who", "event_date", "customer_id", "article_id", *DIMENSIONS)
    return shown.select(*columns).join(done, "impression_id", "left").fillna(0, list(_KINDS))


_KINDS = tuple(dict.fromkeys(ACTS.values()))


def _counted(shown: DataFrame, acts: DataFrame, window: timedelta) -> DataFrame:
    """Each act's kind with the impression that it counts for: impression_id, kind.

    By the customer and by the device, one after the other; of the two impressions the later one. No join: both are put
    in order of time, and each act looks back.
    """
    either = [
        _latest(shown.where(F.col(whose).isNotNull()), acts.where(F.col(whose).isNotNull()), whose)
        for whose in ("customer_id", "visitor_id")
    ]
    found = either[0].unionByName(either[1])
    one = found.groupBy("act_id").agg(
        F.first("kind").alias("kind"), F.first("event_time").alias("at"), F.max("latest").alias("latest")
    )
    in_time = F.col("latest.event_time") >= F.col("at") - F.expr(f"INTERVAL {window.days} DAYS")
    return one.where(in_time).select(F.col("latest.impression_id").alias("impression_id"), "kind")


def _latest(shown: DataFrame, acts: DataFrame, whose: str) -> DataFrame:
    """Each act (act_id, kind, event_time) with the `latest` impression of its article to the same person before it."""
    impression = F.struct("event_time", "impression_id")
    nothing = F.lit(None).cast("string")
    keys = (F.col(whose).alias("whose"), "article_id", "event_time")
    both = shown.select(*keys, nothing.alias("act_id"), nothing.alias("kind"), impression.alias("shown")).unionByName(
        acts.select(*keys, "act_id", "kind"), allowMissingColumns=True
    )
    # At the same moment the impression comes first.
    order = Window.partitionBy("whose", "article_id").orderBy("event_time", F.col("act_id").isNotNull(), "shown")
    found = both.withColumn("latest", F.last("shown", ignorenulls=True).over(order))
    is_counted = F.col("act_id").isNotNull() & F.col("latest").isNotNull()
    return found.where(is_counted).select("act_id", "kind", "event_time", "latest")


def week_start(day: Column) -> Column:
    """The Wednesday on or before a day."""
    return F.date_sub(day, (F.dayofweek(day) + F.lit(3)) % F.lit(7))


def with_recommenders(shown: DataFrame, recommendations: DataFrame | None) -> DataFrame:
    """Impressions with source, model_version and bucket filled in where the events do not state them.

    Source and model of what the list RECOMMENDED shows to a customer are those of gold/recommendations, of the week;
    the bucket is the hash of customer or visitor by which everyone has one.

    Args:
        shown: what `impressions_and_acts` returned.
        recommendations: rows of gold/recommendations; None: there are none.
    """
    whom = F.expr("substring(who, 3)")
    hashed = F.conv(F.substring(F.md5(whom), 1, 8), 16, 10).cast("bigint") % F.lit(BUCKETS)
    rows = shown.withColumn("bucket", F.coalesce("bucket", hashed.cast("int")))
    if recommendations is not None:
        listed = recommendations.select(
            F.col("as_of_date").alias("week"), "customer_id", "article_id",
            F.col("source").alias("known_source"), F.col("model_version").alias("known_version"),
            F.lit(RECOMMENDED).alias("list"),
        )  # fmt: skip
        rows = rows.withColumn("week", week_start(F.col("event_date")))
        rows = rows.join(listed, ["week", "customer_id", "article_id", "list"], "left")
    else:
        nothing = F.lit(None).cast("string")
        rows = rows.withColumn("known_source", nothing).withColumn("known_version", nothing)
    return rows.withColumns(
        {
            "source": F.coalesce("source", "known_source", F.lit(UNKNOWN)),
            "model_version": F.coalesce("model_version", "known_version", F.lit(UNKNOWN)),
        }
    ).drop("known_source", "known_version", "week")
