"""gold/evaluation_metrics, gold/model_decisions, gold/realised_performance: how good, and who decided what."""

from expectations.contract import Column, Contract, as_of_column


def _metric_columns(
    system: str = "Model or baseline",
    group: str = "Group of buyers; 'all' for everyone",
    metric: str = "map, recall, precision, ndcg, coverage, ...",
    value: str = "Mean over the buyers of the slice",
) -> tuple[Column, ...]:
    return (
        Column("system", "string", system),
        as_of_column(),
        Column("fold", "string", "Label week, as its first day"),
        Column("slice", "string", group),
        Column("metric", "string", metric),
        Column("k", "int", "Cut-off; 0 where the metric has none", minimum=0),
        Column("value", "double", value),
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

SIMILARITY_METRICS = Contract(
    layer="gold",
    name="similarity_metrics",
    description="How good each method's similar articles are: how many are of the same type, colour and product, and "
    "how well they find what is new for the buyers of the last whole week before the as-of date.",
    columns=_metric_columns(
        system="Method of similar_articles, or a baseline of the new articles",
        group="'articles': all with picks; otherwise the group of buyers",
        metric="same_product_type, same_colour_group, same_product (and each _by_chance), with_picks, recall, ...",
        value="Mean over the articles or buyers of the slice",
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
)

PAPER_TRACK_METRICS = Contract(
    layer="gold",
    name="paper_track_metrics",
    description="Figures of the two-stage paper's model under its own protocol: purchases split 70/15/15 by time, and "
    "sampled negatives. Not comparable with evaluation_metrics.",
    columns=_metric_columns(
        system="The model trained jointly, and whether it leaves out what the customer bought before",
        group="'sampled_pairs': purchases and four uniform negatives for each; 'all': a sample of the buyers",
        metric="auc, precision, recall of pairs; precision, recall, ndcg, ndcg_of_k of lists; buyers, pairs",
        value="Over the pairs, or mean over the buyers",
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
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
