"""gold/recommendation_performance: what became of what the shop showed, by its log."""

from expectations.contract import Column, Contract, as_of_column
from expectations.recommendations import BUCKETS

#: In a column that the row does not tell apart.
EVERY, EVERY_NUMBER = "all", -1
#: In `source` and `model_version`, where neither the event nor gold/recommendations says it.
UNKNOWN = "unknown"


def _rates(name: str, meaning: str) -> tuple[Column, ...]:
    return (
        Column(name, "double", meaning, minimum=0, maximum=1),
        Column(f"{name}_ci_low", "double", "95 % Wilson interval, impressions taken as independent", minimum=0),
        Column(f"{name}_ci_high", "double", "As above", maximum=1),
    )


RECOMMENDATION_PERFORMANCE = Contract(
    layer="gold",
    name="recommendation_performance",
    description="Impressions of each list in a week, and what visitors did with what was shown: clicked it (or looked "
    "at its page), put it in the cart, bought it. Each of these counts for the last impression of the article before "
    f"it, shown to the same customer or visitor. Rows of four kinds: a list; a list by source and model; a list by "
    f"bucket; a list by position; what a kind does not tell apart is '{EVERY}' or {EVERY_NUMBER}.",
    columns=(
        as_of_column(),
        Column("week_start_date", "date", "First day of the week of the impressions"),
        Column("list", "string", "Name of the list, as the events state it"),
        Column(
            "source",
            "string",
            f"Candidate source, as the events state it, else as gold/recommendations has it; '{UNKNOWN}'",
        ),
        Column("model_version", "string", "Version of the model behind the list, likewise"),
        Column(
            "bucket",
            "int",
            "A/B bucket: as the events state it, else the hash of customer or visitor",
            minimum=EVERY_NUMBER,
            maximum=BUCKETS - 1,
        ),
        Column("position", "int", "Place in the list, of impressions that state it", minimum=-1),
        Column("is_complete", "boolean", "The time in which an act counts was over for all impressions"),
        Column(
            "visitors", "bigint", "Customers, or visitors of whom no customer is known, with impressions", minimum=1
        ),
        Column("impressions", "bigint", "Articles shown", minimum=1),
        Column("clicks", "bigint", "Impressions after which the article was clicked or its page viewed", minimum=0),
        Column("carts", "bigint", "Impressions after which it was put in the cart", minimum=0),
        Column("purchases", "bigint", "Impressions after which it was bought, by the log", minimum=0),
        *_rates("click_through_rate", "clicks over impressions"),
        *_rates("cart_rate", "carts over impressions"),
        *_rates("conversion", "purchases over impressions"),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("as_of_date", "week_start_date", "list", "source", "model_version", "bucket", "position"),
    partition_by=("as_of_date",),
    min_rows=0,
)
