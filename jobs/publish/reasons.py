"""Why an article is shown to a customer, in a phrase that a shopper could read and that is true of what was bought."""

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
IN_DEPARTMENT = "Popular this week in "
WITH_YOUR_AGE = "Popular this week with people your age"
#: Of who has bought nothing, the towers know age and membership alone.
LIKE_YOU = "Chosen for customers like you"

#: Labels that say nothing to a shopper, in lower case.
UNSAID = ("", "unknown", "undefined", "other", "other accessories", "n/a")


#: The labels of an article that reasons name.
LABELS = ("department_name", "product_type_name", "colour_group_name")


def reason() -> pl.Expr:
    """The phrase for each row; what is null is not said.

    Of the columns source; department_name, product_type_name, colour_group_name (the article's, as `said`);
    own_colour_group_name (likewise, of the customer's latest purchase of the same product); is_bought_by_age_band (of a
    known age, and the band bought the article this week); has_history.
    """
    kind, colour, own_colour, source = map(
        pl.col, ("product_type_name", "colour_group_name", "own_colour_group_name", "source")
    )
    thing = pl.coalesce(pl.lit("the same ") + kind, pl.lit("this"))
    details = {
        "same_product": pl.when(own_colour.ne_missing(colour)).then(
            pl.lit("You bought ") + thing + " in " + own_colour
        ),
        "popularity_department": pl.lit(IN_DEPARTMENT) + pl.col("department_name"),
        "popularity_age_band": pl.when("is_bought_by_age_band").then(pl.lit(WITH_YOUR_AGE)),
        "two_tower": pl.when(~pl.col("has_history")).then(pl.lit(LIKE_YOU)),
    }
    detail = pl.coalesce(*(pl.when(source == name).then(phrase) for name, phrase in details.items()))
    return pl.coalesce(detail, source.replace_strict(PLAIN, default=None, return_dtype=pl.String)).alias("reason")


def said(label: str) -> pl.Expr:
    """A column of catalogue labels as part of a phrase; null where it says nothing.

    Departments by their names; other labels in lower case, "Other Blue" as "blue".
    """
    plain = pl.col(label).str.strip_chars()
    if label == "department_name":
        return pl.when(plain != "").then(plain).alias(label)
    plain = plain.str.to_lowercase()
    return pl.when(~plain.is_in(UNSAID)).then(plain.str.replace("^other ", "")).alias(label)
