"""Why an article is shown to a customer, in a phrase that a shopper could read and that is true of what was bought.

Several things are true of most picks. The most particular is said, but the same kind of thing only so often in a list.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from jobs.retrieval import co_occurrence
from jobs.retrieval.candidates import MODULES
from jobs.retrieval.fallbacks import POPULARITY_ALL_TIME

#: By source (jobs.retrieval.fallbacks.SOURCES), what can be said without knowing more.
PLAIN: Mapping[str, str] = {
    **{module.SOURCE: module.REASON for module in MODULES},
    "als": "Matches what you bought",
    **dict.fromkeys(("item_knn", "user_knn"), co_occurrence.REASON),
    "bought_together": "Often bought together with what you have",
    **dict.fromkeys(("rnn", "lstm", "gru", "self_attentive"), "Follows what you bought"),
    POPULARITY_ALL_TIME: "A long-standing favourite",
}
IN_DEPARTMENT = "Popular right now in "
WITH_YOUR_AGE = "Popular with people your age"
#: Of who has bought nothing, the towers know age and membership alone.
LIKE_YOU = "Chosen for customers like you"

#: Labels that say nothing to a shopper, in lower case.
UNSAID = ("", "unknown", "undefined", "other", "other accessories", "n/a")

#: The labels of an article that reasons name.
LABELS = ("department_name", "product_type_name", "colour_group_name")

#: Customers of 30 days that are worth naming; places of a department's best sellers of the week; and a rise of a
#: week's units over the mean week of 30 days, from so many units on.
MANY_CUSTOMERS, BEST_PLACES, RISE, RISING_UNITS = 20, 5, 1.5, 10
#: Of so many places of a list one kind of reason takes one, as far as others are true.
ONE_IN = 4


def kinds() -> dict[str, pl.Expr]:
    """By kind of reason, the most particular first, the phrase of each row; null where it is not true, or not known.

    Of the columns source; department_name, product_type_name, colour_group_name (the article's, as `said`) and the
    same of because_article_id as own_...; is_same_product (as that); is_bought_by_age_band (of a known age, and the
    band bought the article lately); has_history; and of the article is_new, place_in_department (by last week's units),
    units_7d, units_30d, customers_30d.
    """
    kind, colour, department, source = map(
        pl.col, ("product_type_name", "colour_group_name", "department_name", "source")
    )
    own_kind, own_colour = pl.col("own_product_type_name"), pl.col("own_colour_group_name")
    is_other = ~pl.col("is_same_product") & (source != "repurchase")
    the_same = pl.coalesce(pl.lit("the same ") + kind, pl.lit("this"))
    week_of_30 = pl.col("units_30d") * 7 / 30
    rises = (pl.col("units_7d") >= RISING_UNITS) & (pl.col("units_7d") >= RISE * week_of_30)
    known = {
        "version": (
            pl.col("is_same_product") & own_colour.ne_missing(colour),
            pl.lit("You bought ") + the_same + " in " + own_colour,
        ),
        "before": (source == "repurchase", pl.lit(PLAIN["repurchase"])),
        "new": (pl.col("is_new"), pl.coalesce(pl.lit("New in ") + department, pl.lit("New in the shop"))),
        "colour": (
            is_other & (own_colour == colour) & (own_kind != kind),
            pl.lit("In ") + colour + ", like the " + own_kind + " you bought",
        ),
        "type": (
            is_other & (own_kind == kind) & own_colour.ne_missing(colour),
            pl.lit("Like the ") + own_kind + " in " + own_colour + " that you bought",
        ),
        "age": (
            (source == "popularity_age_band") & pl.col("is_bought_by_age_band"),
            pl.lit(WITH_YOUR_AGE),
        ),
        "best": (pl.col("place_in_department") <= BEST_PLACES, pl.lit("A best seller in ") + department),
        "rising": (rises, pl.lit("Selling faster than in the weeks before")),
        "department": (is_other & own_kind.is_not_null(), pl.lit("From ") + department + ", where you bought before"),
        "neighbours": (source == co_occurrence.SOURCE, pl.lit(co_occurrence.REASON)),
        "customers": (
            pl.col("customers_30d") >= MANY_CUSTOMERS,
            pl.lit("Bought by ") + pl.col("customers_30d").cast(pl.String) + " customers in 30 days",
        ),
        "ages": (pl.col("is_bought_by_age_band"), pl.lit("People your age bought this lately")),
        "popular": (source == "popularity_department", pl.lit(IN_DEPARTMENT) + department),
        "like you": ((source == "two_tower") & ~pl.col("has_history"), pl.lit(LIKE_YOU)),
    }
    phrases: dict[str, pl.Expr] = {name: pl.when(is_true).then(phrase) for name, (is_true, phrase) in known.items()}
    return phrases | {"plain": source.replace_strict(PLAIN, default=None, return_dtype=pl.String)}


def with_reasons(rows: pl.DataFrame, top_k: int) -> pl.DataFrame:
    """The rows of whole customers, with the columns reason and reason_kind (of what is merely plain, the source).

    Args:
        rows: as `kinds` needs them, and customer_id; the places of a customer in any order.
        top_k: places of a list.
    """
    phrases = kinds()
    most = max(1, top_k // ONE_IN)
    rows = rows.with_columns(phrase.alias(f"_{name}") for name, phrase in phrases.items())
    rows = rows.with_columns(reason_kind=pl.lit(None, pl.String))
    for name in phrases:  # one kind after the other takes what is left of each list
        could = pl.col("reason_kind").is_null() & pl.col(f"_{name}").is_not_null()
        taken = could & (could.cast(pl.Int32).cum_sum().over("customer_id") <= most)
        rows = rows.with_columns(reason_kind=pl.when(taken).then(pl.lit(name)).otherwise("reason_kind"))
    # More is true of no other kind: the first that is, however often.
    first = pl.coalesce(pl.when(pl.col(f"_{name}").is_not_null()).then(pl.lit(name)) for name in phrases)
    rows = rows.with_columns(reason_kind=pl.coalesce("reason_kind", first))
    said_of = pl.coalesce(pl.when(pl.col("reason_kind") == name).then(f"_{name}") for name in phrases)
    kind = pl.when(pl.col("reason_kind") == "plain").then("source").otherwise("reason_kind")
    return rows.with_columns(reason=said_of, reason_kind=kind).drop(f"_{name}" for name in phrases)


def said(label: str) -> pl.Expr:
    """A column of catalogue labels as part of a phrase; null where it says nothing.

    Departments by their names; other labels in lower case, "Other Blue" as "blue".
    """
    plain = pl.col(label).str.strip_chars()
    if label == "department_name":
        return pl.when(plain != "").then(plain).alias(label)
    plain = plain.str.to_lowercase()
    return pl.when(~plain.is_in(UNSAID)).then(plain.str.replace("^other ", "")).alias(label)
