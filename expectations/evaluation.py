"""gold/evaluation_metrics, gold/model_decisions, gold/realised_performance: how good, and who decided what."""

from expectations.contract import Column, Contract, as_of_column


def _metric_columns() -> tuple[Column, ...]:
    return (
        Column("system", "string", "Model or baseline"),
        as_of_column(),
        Column("fold", "string", "Label week, as its first day"),
        Column("slice", "string", "Group of buyers; 'all' for everyone"),
        Column("metric", "string", "map, recall, precision, ndcg, coverage, ..."),
        Column("k", "int", "Cut-off; 0 where the metric has none", minimum=0),
        Column("value", "double", "Mean over the buyers of the slice"),
        Column("ci_low", "double", "Lower end of the 95 % customer bootstrap interval", nullable=True),
        Column("ci_high", "double", "Upper end of the 95 % customer bootstrap interval", nullable=True),
        Column("run_id", "string", "Run that wrote the row"),
    )


EVALUATION_METRICS = Contract(
    layer="gold",
    name="evaluation_metrics",
    description="Figures of every model and baseline on the last whole week before the as-of date.",
    columns=_metric_columns(),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
)

REALISED_PERFORMANCE = Contract(
    layer="gold",
    name="realised_performance",
    description="How the recommendations published a week earlier did against what was then bought.",
    columns=_metric_columns(),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
    min_rows=0,
)

MODEL_DECISIONS = Contract(
    layer="gold",
    name="model_decisions",
    description="The gate's verdict of each run: was the new model made champion, and why.",
    columns=(
        as_of_column(),
        Column("model_name", "string", "Name in the model registry"),
        Column("model_version", "string", "Version that was judged"),
        Column("is_promoted", "boolean", "True: the version became champion of its as-of date"),
        Column("reason", "string", "Why, with the figures"),
        Column("challenger_map_at_12", "double", "MAP@12 of the judged version"),
        Column("best_baseline", "string", "Strongest baseline"),
        Column("best_baseline_map_at_12", "double", "Its MAP@12"),
        Column("incumbent_version", "string", "Champion until then; null if none", nullable=True),
        Column("incumbent_map_at_12", "double", "Its MAP@12 on the same week", nullable=True),
        Column("run_id", "string", "Run that decided"),
    ),
    key=("as_of_date",),
    partition_by=("as_of_date",),
)
