"""Why an article is shown to a customer, in a phrase that a shopper could read and that is true of what was bought."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from pyspark.sql import Column
from pyspark.sql import functions as F

#: Where fewer articles sold this week than places are to be filled.
POPULARITY_ALL_TIME = "popularity_all_time"

#: By source (jobs.retrieval.candidates.SOURCES, and the fallback), what can be said without knowing more.
PLAIN: Mapping[str, str] = {
    "repurchase": "You bought this before",
    "same_product": "You bought this in another version",
    "co_occurrence": "Chosen by people who bought what you did",
    "two_tower": "Matches what you like",
    "als": "Matches what you bought",
    "item_knn": "Chosen by people who bought what you did",
    "user_knn": "Chosen by people who bought what you did",
    "rnn": "Follows what you bought",
    "lstm": "Follows what you bought",
    "gru": "Follows what you bought",
    "self_attentive": "Follows what you bought",
    "similar_images": "Looks like something you bought",
    "popularity_department": "Popular this week in a department you buy from",
    "popularity_age_band": "Popular this week",
    "popularity": "Popular this week",
    "trend": "In demand right now",
    POPULARITY_ALL_TIME: "A long-standing favourite",
}
IN_DEPARTMENT = "Popular this week in "
WITH_YOUR_AGE = "Popular this week with people your age"
#: Of who has bought nothing, the towers know age and membership alone.
LIKE_YOU = "Chosen for customers like you"

#: Labels that say nothing to a shopper, in lower case.
UNSAID = ("", "unknown", "undefined", "other", "other accessories", "n/a")


def reason() -> Column:
    """The phrase for each row; what is null is not said.

    Of the columns source; department_name, product_type_name, colour_group_name (the article's);
    own_colour_group_name (of the customer's latest purchase of the same product); age (null where unknown);
    is_bought_by_band (the customer's age band bought the article this week); has_history (null for newcomers).
    """
    kind, colour, own_colour = (said(f"{name}_name") for name in ("product_type", "colour_group", "own_colour_group"))
    thing = F.coalesce(F.concat(F.lit("the same "), kind), F.lit("this"))
    details = {
        "same_product": F.when(
            ~own_colour.eqNullSafe(colour), F.concat(F.lit("You bought "), thing, F.lit(" in "), own_colour)
        ),
        "popularity_department": F.concat(F.lit(IN_DEPARTMENT), F.nullif(F.trim("department_name"), F.lit(""))),
        "popularity_age_band": F.when(F.col("age").isNotNull() & F.col("is_bought_by_band"), F.lit(WITH_YOUR_AGE)),
        "two_tower": F.when(F.col("has_history").isNull(), F.lit(LIKE_YOU)),
    }
    source = F.col("source")
    detail = F.coalesce(*(F.when(source == name, phrase) for name, phrase in details.items()))
    plain = F.create_map(*map(F.lit, chain.from_iterable(PLAIN.items())))
    return F.coalesce(detail, plain[source])


def said(label: str) -> Column:
    """A column of catalogue labels as part of a phrase: lower case, "Other Blue" as "blue"; null if it says nothing."""
    plain = F.lower(F.trim(label))
    return F.when(~plain.isin(*UNSAID), F.regexp_replace(plain, "^other ", ""))
