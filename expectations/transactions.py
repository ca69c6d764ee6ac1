"""silver/transactions and silver/quarantine: what was bought, and the rows that could not be believed."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Drift, Reference, RowChange, WeekChange
from expectations.customers import CUSTOMERS

#: Of any currency.
MAX_PRICE = 1e9

TRANSACTIONS = Contract(
    layer="silver",
    name="transactions",
    description="One row per unit bought: identical rows are several units of one purchase and all count.",
    columns=(
        Column("t_dat", "date", "Day of the purchase"),
        Column("customer_id", "string", "Who bought; exists in customers"),
        Column("article_id", "string", "What was bought; exists in articles"),
        Column("customer_key", "int", "Surrogate key of the customer, as in customers", minimum=0),
        Column("article_key", "int", "Surrogate key of the article, as in articles", minimum=0),
        Column(
            "price",
            "double",
            "Price of one unit, in the retailer's unit (H&M scales it)",
            minimum=0,
            maximum=MAX_PRICE,
        ),
        Column("sales_channel_id", "int", "1 store, 2 online"),
        Column(
            "basket_id",
            "string",
            "The retailer's own number of the visit or receipt, of one customer; null where it has none",
            nullable=True,
        ),
        Column("source_file", "string", "Name of the file the row came in"),
        Column("source_checksum", "string", "SHA-256 of that file: a file is taken in once"),
    ),
    # both, so that the log alone tells which files were taken in
    partition_by=("source_file", "source_checksum"),
    references=(
        Reference("customer_key", CUSTOMERS, id_column="customer_id"),
        Reference("article_key", ARTICLES, id_column="article_id"),
    ),
    row_change=RowChange(0.9, None, "a file that comes again corrects or adds; one that lost a tenth was cut short"),
    week_change=WeekChange(
        "t_dat",
        0.5,
        1.9,
        "whole weeks went from 0.74 to 1.65 of the week before; half a file is 0.5, one taken in twice 2",
    ),
    drifts=(
        Drift("price", 1.0, "another unit, or money for cents; a week beside all weeks before moved by up to 0.57"),
    ),
)

QUARANTINE = Contract(
    layer="silver",
    name="quarantine",
    description="Rows refused at ingest, or kept without a value that could not be read, each with its reason "
    "and where it stands in its file.",
    columns=(
        Column("table_name", "string", "Table the row was meant for"),
        Column("source_file", "string", "Name of the file"),
        Column("source_line", "bigint", "Line in the file, header = 1 (row number from 1 for Parquet)", minimum=1),
        Column("reason", "string", "Why the row was refused, or which value was left empty"),
        Column("raw_row", "string", "The row as it came, as JSON"),
        Column("source_checksum", "string", "SHA-256 of the file"),
    ),
    partition_by=("table_name", "source_file"),
    min_rows=0,
)
