"""silver/customers: one row per customer."""

from expectations.contract import Column, Contract, Drift, RowChange

CUSTOMERS = Contract(
    layer="silver",
    name="customers",
    description="Customers as last delivered, and those who were before: one row each, with or without purchases.",
    columns=(
        Column("customer_id", "string", "Customer (64 hexadecimal digits at H&M)"),
        Column("customer_key", "int", "Surrogate key: a customer keeps it for good", minimum=0, is_unique=True),
        Column("is_fn", "boolean", "Gets fashion news (FN); false where the file says nothing"),
        Column("is_active", "boolean", "Active for communication (Active); false where the file says nothing"),
        Column("club_member_status", "string", "Club membership: ACTIVE, PRE-CREATE, LEFT CLUB", nullable=True),
        Column("fashion_news_frequency", "string", "How often fashion news is sent, upper case", nullable=True),
        Column("age", "int", "Age in years", nullable=True, minimum=0, maximum=130),
        Column("postal_code", "string", "Anonymised postal code", nullable=True),
        Column("has_left", "boolean", "The newest list has them no more: their attributes are the last known"),
        Column("left_date", "date", "As-of date from which they get no recommendations; null if there", nullable=True),
    ),
    key=("customer_id",),
    row_change=RowChange(
        0.9,
        None,
        "customers are added, a few are forgotten; a list that lost a tenth was cut short",
        unless="has_left",
    ),
    drifts=(
        Drift("age", 0.25, "a population does not age by seven years, half its spread, from one file to the next"),
    ),
)
