"""ops/deliveries and ops/feature_slices: what each table was made from, so that a rerun does what is left to do."""

from expectations.contract import Column, Contract

DELIVERIES = Contract(
    layer="ops",
    name="deliveries",
    description="One row per source file that a silver table was made from, as of its last ingest.",
    columns=(
        Column("table_name", "string", "Table that the file was ingested into"),
        Column("source_file", "string", "Name of the file"),
        Column("source_checksum", "string", "SHA-256 of the file"),
        Column(
            "copy_of",
            "string",
            "Name of the file that was ingested instead: with the same content, or a newer one of cumulative files",
            nullable=True,
        ),
        Column("file_state", "string", "Place, size and times of the file, by which it is known again", nullable=True),
        Column("mapping_digest", "string", "SHA-256 of the mapping, and of further files that the table was made from"),
        Column("articles_version", "bigint", "Version of silver/articles that ids were looked up in", nullable=True),
        Column("customers_version", "bigint", "Version of silver/customers that ids were looked up in", nullable=True),
        Column("table_version", "bigint", "Version of the table that the file's rows were committed as", minimum=0),
        Column("next_key", "int", "Least surrogate key that was never given to an id", nullable=True, minimum=0),
        Column("as_of_date", "date", "Newest as-of date of the runs that found the list so", nullable=True),
        Column("run_id", "string", "Run that ingested the file"),
    ),
    key=("table_name", "source_file"),
    partition_by=("table_name", "source_file"),
    min_rows=0,
)

FEATURE_SLICES = Contract(
    layer="ops",
    name="feature_slices",
    description="What each slice of a feature table was computed from: one row per source.",
    columns=(
        Column("table_name", "string", "Feature table"),
        Column("slice", "string", "The slice: its as-of date or its method"),
        Column("source_checksum", "string", "SHA-256 of a delivered file, or of all inputs together"),
        Column("source_version", "bigint", "table_version of the delivery in ops/deliveries; 0 of inputs together"),
        Column("formula_version", "int", "VERSION of the formulas"),
        Column("table_version", "bigint", "Version of the feature table that the slice was committed as", minimum=0),
        Column("run_id", "string", "Run that computed the slice"),
    ),
    key=("table_name", "slice", "source_checksum"),
    partition_by=("table_name", "slice"),
    min_rows=0,
)
