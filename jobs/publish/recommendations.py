"""The published picks: exactly top-k distinct articles for every customer.

The champion's candidates come first. Where they do not fill the places (no champion, a small catalogue, many articles
excluded) the customer's own recent purchases follow, then, for customers without history, what sold most to their age
band, and last what sold most to everyone. Each row says which of these it came from, and why in a phrase.
"""

from __future__ import annotations

from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.recommendations import BUCKETS, CANDIDATES, RECOMMENDATIONS
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import ContractError, JobError
from jobs.platform.job import Job, run
from jobs.publish.reasons import POPULARITY_ALL_TIME, reason
from jobs.ranking.behaviour import AGE_BANDS
from jobs.retrieval import popularity, popularity_age_band, repurchase, same_product

READS, WRITES = (CANDIDATES, CUSTOMERS, ARTICLES, TRANSACTIONS), (RECOMMENDATIONS,)
SETTINGS = ("accept_drift", "top_k", "exclude_bought")

BASELINE = "baseline"

#: What one place of an offer holds; all offers of a customer are merged by tier, then position.
OFFER = ("customer_id", "article_id", "tier", "position", "score", "source", "model_version")


def transform(
    candidates: DataFrame,
    customers: DataFrame,
    articles: DataFrame,
    transactions: DataFrame,
    *,
    as_of_date: date,
    top_k: int,
    exclude_bought: bool,
    run_id: str,
) -> DataFrame:
    """`top_k` rows per customer, ranked from 1; fewer only where fewer articles can be picked at all.

    An article can be picked if it is in `articles` and was sold before `as_of_date`; with `exclude_bought`, if the
    customer did not buy it before.
    """
    history = transactions.where(F.col("t_dat") < F.lit(as_of_date))
    history = history.join(articles.select("article_id"), "article_id", "left_semi")
    bought = history.groupBy("customer_id", "article_id").agg(F.max("t_dat").alias("last"), F.count("*").alias("units"))
    popular = popular_list(history, as_of_date)
    excluded = bought if exclude_bought else bought.limit(0)
    people = customers.select("customer_id", "age", age_band().alias("band"))
    bands = age_band_sales(history, people, as_of_date)
    ranked = candidates.where(F.col("as_of_date") == F.lit(as_of_date))
    offers = candidate_offers(ranked, popular)
    offers = offers.join(excluded, ["customer_id", "article_id"], "left_anti")
    served = offers.groupBy("customer_id").count().where(F.col("count") >= top_k)
    short = people.join(served, "customer_id", "left_anti")
    cold = short.join(bought, "customer_id", "left_anti")
    offers = offers.unionByName(age_band_offers(cold, bands, top_k))
    offers = offers.unionByName(popular_offers(short, excluded, popular, top_k))
    if not exclude_bought:
        offers = offers.unionByName(own_offers(short, bought, top_k))
    picks = best_offers(offers.join(people, "customer_id", "left_semi"), top_k)
    return (
        with_facts(picks, people, articles, bought, ranked, bands)
        .withColumns({"as_of_date": F.lit(as_of_date), "run_id": F.lit(run_id), "bucket": bucket("customer_id")})
        .withColumn("reason", reason())
        .select(*RECOMMENDATIONS.column_names)
    )


def popular_list(history: DataFrame, as_of_date: date) -> DataFrame:
    """Every article on sale with its `position` from 1: units of the last 7 days, then units ever, then the id.

    The same order as jobs.retrieval.popularity, as a table: article_id, recent (units of the last 7 days), position.
    """
    is_recent = F.col("t_dat") >= F.date_sub(F.lit(as_of_date), popularity.DAYS)
    sales = history.groupBy("article_id").agg(F.count_if(is_recent).alias("recent"), F.count("*").alias("ever"))
    order = Window.orderBy(F.desc("recent"), F.desc("ever"), "article_id")  # one row per article: fits one task
    return sales.withColumn("position", F.row_number().over(order)).select("article_id", "recent", "position")


def candidate_offers(candidates: DataFrame, popular: DataFrame) -> DataFrame:
    """The champion's candidates, of articles that can be picked."""
    offers = candidates.join(popular.select("article_id"), "article_id", "left_semi")
    return offers.withColumns({"tier": F.lit(0), "position": F.col("rank")}).select(*OFFER)


def own_offers(short: DataFrame, bought: DataFrame, top_k: int) -> DataFrame:
    """Each customer's own articles, the order of jobs.retrieval.repurchase: last day, units, id."""
    order = Window.partitionBy("customer_id").orderBy(F.desc("last"), F.desc("units"), "article_id")
    ranked = bought.withColumn("position", F.row_number().over(order)).where(F.col("position") <= top_k)
    return _fallback(ranked.join(short, "customer_id", "left_semi"), 1, F.lit(repurchase.SOURCE))


def age_band_sales(history: DataFrame, people: DataFrame, as_of_date: date) -> DataFrame:
    """The lists of jobs.retrieval.popularity_age_band: per band, every article sold in the last 7 days by `position`.

    Columns: band, article_id, units (bought by the band), position. The order is by whole numbers, the band's shares
    times what all shares have in common.
    """
    recent = history.where(F.col("t_dat") >= F.date_sub(F.lit(as_of_date), popularity.DAYS))
    own = recent.join(people, "customer_id").groupBy("band", "article_id").agg(F.count("*").alias("units"))
    everybody = recent.groupBy("article_id").agg(F.count("*").alias("everybody"))
    total = recent.agg(F.count("*").alias("total"))
    whole = people.select("band").distinct().crossJoin(everybody).crossJoin(total)
    sales = whole.join(own, ["band", "article_id"], "left").withColumn("units", F.coalesce("units", F.lit(0)))
    share = F.col("units") * F.col("total") + popularity_age_band.PRIOR_UNITS * F.col("everybody")
    order = Window.partitionBy("band").orderBy(share.desc(), "article_id")
    return sales.select("band", "article_id", "units", F.row_number().over(order).alias("position"))


def age_band_offers(cold: DataFrame, bands: DataFrame, top_k: int) -> DataFrame:
    """For customers without history: the best sellers of their age band."""
    offers = cold.join(F.broadcast(bands.where(F.col("position") <= top_k)), "band")
    return _fallback(offers, 2, F.lit(popularity_age_band.SOURCE))


def popular_offers(short: DataFrame, bought: DataFrame, popular: DataFrame, top_k: int) -> DataFrame:
    """The first `top_k` of the list of everyone that are not among the `bought` (customer, article) pairs.

    Each customer's list reaches down by one more place per bought article, so it is exact at any size and never a
    product of customers and catalogue.
    """
    own = bought.groupBy("customer_id").agg(F.count("*").alias("own"))
    length = F.lit(top_k) + F.coalesce("own", F.lit(0))
    places = short.join(own, "customer_id", "left").select(
        "customer_id", F.explode(F.sequence(F.lit(1), length.cast("int"))).alias("position")
    )
    source = F.when(F.col("recent") > 0, F.lit(popularity.SOURCE)).otherwise(F.lit(POPULARITY_ALL_TIME))
    offers = _fallback(places.join(F.broadcast(popular), "position"), 3, source)
    return offers.join(bought, ["customer_id", "article_id"], "left_anti")


def _fallback(rows: DataFrame, tier: int, source: Column) -> DataFrame:
    columns = {
        "tier": F.lit(tier),
        "score": 1 / F.col("position"),
        "source": source,
        "model_version": F.lit(BASELINE),
    }
    return rows.withColumns(columns).select(*OFFER)


def best_offers(offers: DataFrame, top_k: int) -> DataFrame:
    """The first `top_k` distinct articles of each customer by tier, then position, with their `rank`."""
    fields = [name for name in OFFER if name not in ("customer_id", "article_id")]
    distinct = offers.groupBy("customer_id", "article_id").agg(F.min(F.struct(*fields)).alias("offer"))
    order = Window.partitionBy("customer_id").orderBy("offer.tier", "offer.position", "article_id")
    ranked = distinct.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= top_k)
    return ranked.select("customer_id", "rank", "article_id", "offer.*")


def with_facts(
    picks: DataFrame, people: DataFrame, articles: DataFrame, bought: DataFrame, ranked: DataFrame, bands: DataFrame
) -> DataFrame:
    """The picks with what their reasons tell: the columns that jobs.publish.reasons.reason names."""
    labels = articles.select("article_id", "product_code", "department_name", "product_type_name", "colour_group_name")
    variants = ranked.where(F.col("source") == same_product.SOURCE).join(labels, "article_id")
    wanted = variants.select("customer_id", "product_code").distinct()
    # The order of jobs.retrieval.recent: the latest day, then more units, then the smaller id.
    latest = F.min(F.struct(-F.unix_date("last"), -F.col("units"), "article_id", "colour_group_name"))
    own = bought.join(labels, "article_id").join(wanted, ["customer_id", "product_code"], "left_semi")
    own = own.groupBy("customer_id", "product_code").agg(latest["colour_group_name"].alias("own_colour_group_name"))
    known = bought.select("customer_id").distinct().withColumn("has_history", F.lit(True))
    by_band = bands.where(F.col("units") > 0).select("band", "article_id", F.lit(True).alias("is_bought_by_band"))
    return (
        picks.join(labels, "article_id")
        .join(people, "customer_id")
        .join(known, "customer_id", "left")
        .join(own, ["customer_id", "product_code"], "left")
        .join(by_band, ["band", "article_id"], "left")
    )


def age_band() -> Column:
    """The customer's age band, as jobs.ranking.behaviour.age_bands; those of unknown age are a band of their own."""
    older_than = [(F.col("age") >= first_age).cast("int") for first_age in AGE_BANDS]
    return F.coalesce(reduce(Column.__add__, older_than), F.lit(len(AGE_BANDS) + 1))


def bucket(customer_id: str) -> Column:
    """The first 8 hexadecimal digits of the customer id's MD5, modulo 100: anyone can compute it anywhere.

    Python: `int(hashlib.md5(customer_id.encode()).hexdigest()[:8], 16) % 100`.
    DuckDB: `('0x' || md5(customer_id)[:8])::BIGINT % 100`.
    """
    return (F.conv(F.substring(F.md5(customer_id), 1, 8), 16, 10).cast("bigint") % BUCKETS).cast("int")


def check_counts(rows: DataFrame, customers: DataFrame, pickable: int, top_k: int, as_of_date: date) -> None:
    """Refuse recommendations that do not give every customer `top_k` distinct articles.

    Raises:
        JobError: not enough articles can be picked.
        ContractError: a customer has another number of rows than `top_k`, or an article twice.
    """
    if pickable < top_k:
        raise JobError(
            f"silver/transactions: only {pickable:,} articles were sold before {as_of_date}, fewer than top-k {top_k};"
            " lower --top-k or bring in more transactions"
        )
    counts = rows.groupBy("customer_id").agg(
        F.count("*").alias("rows"), F.count_distinct("article_id").alias("articles")
    )
    wrong = (
        customers.select("customer_id")
        .join(counts, "customer_id", "full")
        .select(
            F.count_if(F.coalesce("rows", F.lit(0)) < top_k).alias("few"),
            F.count_if((F.col("rows") > top_k) | (F.col("articles") != F.col("rows"))).alias("many"),
        )
        .collect()[0]
    )
    if wrong.many:
        raise ContractError(f"gold/recommendations: nothing published; {wrong.many:,} customers have repeated picks")
    if wrong.few:
        raise JobError(
            f"gold/recommendations: nothing published; {wrong.few:,} customers have fewer than {top_k} articles left of"
            f" the {pickable:,} sold before {as_of_date}; lower --top-k or drop --exclude-bought"
        )


def main(job: Job) -> str:
    settings = job.settings
    customers, articles, transactions = (job.read_spark(t) for t in (CUSTOMERS, ARTICLES, TRANSACTIONS))
    rows = transform(
        job.read_spark(CANDIDATES),
        customers,
        articles,
        transactions,
        as_of_date=settings.as_of_date,
        top_k=settings.top_k,
        exclude_bought=settings.exclude_bought,
        run_id=settings.run_id,
    )
    sold = transactions.where(F.col("t_dat") < F.lit(settings.as_of_date)).select("article_id").distinct()
    pickable = articles.join(sold, "article_id", "left_semi").count()
    with job.staging(RECOMMENDATIONS) as files:
        files.write_spark(rows)
        paths = files.written()
        written = files.read_spark(job.spark, paths)
        check_counts(written, customers, pickable, settings.top_k, settings.as_of_date)
        shares = written.groupBy("source").count().orderBy(F.desc("count"), "source").collect()
        count = job.publish_staged(files, paths, {"as_of_date": [settings.as_of_date]})
    sources = ", ".join(f"{row['source']} {row['count'] / count:.0%}" for row in shares)
    return f"{count:,} recommendations for {count // settings.top_k:,} customers ({sources})"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
