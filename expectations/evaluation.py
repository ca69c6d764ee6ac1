"""gold/evaluation_metrics, model_decisions, realised_performance and others: how good, and who decided what."""

from expectations.contract import Column, Contract, as_of_column
from expectations.recommendations import BASELINE

#: The `fold` of a figure over all label weeks.
POOLED = "pooled"


#: What `metric` holds, one name for one thing in every table; a column of one cut-off is called <metric>_at_<k>.
METRICS = {
    "map": "mean average precision: for each buyer the precision at each hit among the first k, summed, over the lesser"
    " of k and the articles bought",
    "map_minus_<system>": "map less that system's, paired buyer by buyer",
    "recall": "share of a buyer's articles that are among the first k",
    "candidate_recall": "recall of the whole list",
    "precision": "share of the first k places that are hits",
    "ndcg": "discounted gain of the hits among the first k, over that of all hits in front",
    "coverage": "share of the articles on sale that are among anybody's first k",
    "popular_overlap": "share of the first k places that hold one of the k best sellers",
    "novelty": "mean bits of surprise of the first k articles, -log2 of the share of customers who bought each",
    "candidates_per_customer": "mean length of a list",
    "buyers": "buyers of the slice; over all weeks, buyer-weeks",
    "unique_recall": "of a candidate source, share of a buyer's articles that no other source found",
    "hits": "of a candidate source, articles found of those that a buyer bought",
    "hit_share": "of a candidate source, its hits over those of all candidates",
    "map_ceiling": "of all candidates, map if they stood in the best order",
}


def _metric_columns(
    system: str = "Model or baseline",
    group: str = "Group of buyers; 'all' for everyone",
    metric: str = "As in evaluation_metrics",
    value: str = "Mean over the buyers of the slice",
    as_of: Column | None = None,
    is_weekly: bool = True,
    version: Column | None = None,
) -> tuple[Column, ...]:
    return (
        Column("system", "string", system),
        as_of or as_of_column(),
        Column("fold", "string", f"Label week, as its first day; '{POOLED}': all of them, a mean over buyer-weeks"),
        *((_WEEK,) if is_weekly else ()),
        Column("slice", "string", group),
        Column("metric", "string", metric),
        Column("k", "int", "Cut-off; 0 where the metric has none", minimum=0),
        Column("value", "double", value),
        Column("ci_low", "double", "Lower end of the 95 % customer bootstrap interval", nullable=True),
        Column("ci_high", "double", "Upper end of the 95 % customer bootstrap interval", nullable=True),
        *((version,) if version else ()),
        Column("run_id", "string", "Run that wrote the row"),
    )


_WEEK = Column(
    "week_start_date", "date", f"First day of the label week, the same as fold; null where that is '{POOLED}'", True
)

EVALUATION_METRICS = Contract(
    layer="gold",
    name="evaluation_metrics",
    description="Figures of every model, baseline and candidate source on each of the last whole weeks before the "
    "as-of date, and on all of them.",
    columns=_metric_columns(
        system="Model, baseline, or candidates/...: a source, all candidates merged, or those as ranked",
        metric="; ".join(f"{name}: {meaning}" for name, meaning in METRICS.items()),
        version=Column(
            "model_version", "string", f"Version in the model registry that was judged; '{BASELINE}' of a baseline"
        ),
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
    min_rows=0,
)

REALISED_PERFORMANCE = Contract(
    layer="gold",
    name="realised_performance",
    description="How the recommendations published a week earlier did against what was then bought.",
    columns=_metric_columns(
        version=Column(
            "model_version",
            "string",
            f"Version in the model registry that the recommendations came from; '{BASELINE}' where no model made them",
        )
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
    min_rows=0,
)

_FITTED = Column("as_of_date", "date", "The model's date: it has learnt from nothing dated on or after it")
_AGE = Column("age_weeks", "int", "Whole weeks from the as-of date to the label week", minimum=0)

BACKTEST_METRICS = Contract(
    layer="gold",
    name="backtest_metrics",
    description="Figures of the model fitted as of each past week, beside the baselines, on that week and on the ones "
    "after it, as the model ages.",
    columns=(
        *_metric_columns(
            system="Model, baseline, or candidates/merged: all candidates, unranked",
            as_of=_FITTED,
        ),
        _AGE,
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
)

BACKTEST_BUYERS = Contract(
    layer="gold",
    name="backtest_buyers",
    description="The backtest buyer by buyer, so that weeks can be pooled and compared customer by customer. Of the "
    "model at every age; of the others, which do not age, at age 0.",
    columns=(
        Column("system", "string", "As in backtest_metrics"),
        _FITTED,
        Column("fold", "string", "Label week, as its first day"),
        Column("week_start_date", "date", "First day of the label week, the same as fold"),
        _AGE,
        Column("customer_id", "string", "Buyer of the label week"),
        Column("average_precision_at_12", "double", "Its mean over buyers is MAP@12", minimum=0, maximum=1),
        Column("recall_at_100", "double", "Share of the buyer's articles among the first 100", minimum=0, maximum=1),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("system", "as_of_date", "fold", "customer_id"),
    partition_by=("as_of_date",),
)

SIMILARITY_METRICS = Contract(
    layer="gold",
    name="similarity_metrics",
    description="How good each method's similar articles are: how many are of the same type, colour, department "
    "and product, and how well they find what is new for the buyers of the last whole week before the as-of date.",
    columns=_metric_columns(
        system="Method of similar_articles, or a baseline of the new articles",
        group="'articles': all with picks; otherwise the group of buyers",
        metric="same_product_type, same_colour_group, same_index_group, same_department, same_product (and each "
        "_by_chance), with_picks, coverage, hubness, recall, ...",
        value="Mean over the articles or buyers of the slice",
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
)

BASKET_METRICS = Contract(
    layer="gold",
    name="basket_metrics",
    description="Does a list find the rest of a basket? Of each basket of the last whole weeks before the as-of date, "
    "each article in turn is the first one; lists are of what was known when the week began.",
    columns=_metric_columns(
        system="bought_together, its rules in another order or of articles alone, or what it is compared with",
        group="'any_article': any other of the basket counts; 'other_product': only those of another product, and lists"
        " without variants of the first one's",
        metric="hit_rate: another article of the basket is among the first k, mean over the basket's articles;"
        " hit_rate_minus_<system>: less that system's, paired; baskets",
        value="Mean over the baskets",
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
    min_rows=0,
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
        is_weekly=False,
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date",),
)

SYSTEM_METRICS = Contract(
    layer="gold",
    name="system_metrics",
    description="Figures of the recommender systems under the protocol of evaluation_metrics, on the "
    "same label weeks, beside the baselines; what each would add to the two-stage model's candidates, and what it "
    "costs.",
    columns=_metric_columns(
        system="System, as in Settings.system, or baseline",
        metric="As in evaluation_metrics; own_recall (without the best sellers that fill up its lists), own_share "
        "(of the places), unique_recall (found by it and by no candidate source that needs no model), "
        "merged_recall (of those sources), merged_recall_with (with "
        "it, as many places), merged_gain; fit_seconds, pick_seconds, peak_mib",
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date", "system"),
)

NEXT_PURCHASE_METRICS = Contract(
    layer="gold",
    name="next_purchase_metrics",
    description="Figures of the systems under the protocol of the paper on next purchases: each customer's last event "
    "hidden, everything else known, later purchases of others included. Not comparable with system_metrics.",
    columns=_metric_columns(
        system="System, as in Settings.system, or baseline",
        group="What is hidden: every_unit (the last unit bought), merged_lines (the last line; identical ones of a day "
        "are one), last_day (the whole last day; any of it is a hit)",
        metric="hit_rate: share of the customers who have it among the first k; customers, fit_seconds",
        value="Mean over the customers",
        is_weekly=False,
    ),
    key=("system", "as_of_date", "fold", "slice", "metric", "k"),
    partition_by=("as_of_date", "system"),
)

_LOW, _HIGH = "Lower end of its paired 95 % interval", "Upper end of its paired 95 % interval"

MODEL_DECISIONS = Contract(
    layer="gold",
    name="model_decisions",
    description="The gate's verdict of each run: was the new model made champion, and why. Figures are pooled over the "
    "folds.",
    columns=(
        as_of_column(),
        Column("model_name", "string", "Name in the model registry"),
        Column("model_version", "string", f"Version that was judged; '{BASELINE}' where there was none"),
        Column(
            "mlflow_run_id",
            "string",
            "MLflow run that registered the version, which is found again by it and by model_digest: a store that "
            "begins anew counts versions from 1 again; null where there was none",
            nullable=True,
        ),
        Column("model_digest", "string", "SHA-256 of the checksums of the version's files", nullable=True),
        Column("is_promoted", "boolean", "True: the version is champion from its as-of date on; false if rolled back"),
        Column("reason", "string", "Why, with the figures"),
        Column("folds", "int", "Weekly folds it was judged on", minimum=0),
        Column(
            "challenger_map_at_12",
            "double",
            "MAP@12 of the judged version: map of evaluation_metrics at k 12; null, as all figures here, where "
            "nothing could be judged",
            nullable=True,
        ),
        Column("best_baseline", "string", "Strongest baseline", nullable=True),
        Column("best_baseline_map_at_12", "double", "Its MAP@12", nullable=True),
        Column(
            "best_baseline_difference",
            "double",
            "MAP@12 of the judged version less the strongest baseline's",
            nullable=True,
        ),
        Column("best_baseline_difference_ci_low", "double", _LOW, nullable=True),
        Column("best_baseline_difference_ci_high", "double", _HIGH, nullable=True),
        Column("incumbent_version", "string", "Champion until then; null if none", nullable=True),
        Column("incumbent_map_at_12", "double", "Its MAP@12 on the same weeks", nullable=True),
        Column("incumbent_difference", "double", "MAP@12 of the judged version less the champion's", nullable=True),
        Column("incumbent_difference_ci_low", "double", _LOW, nullable=True),
        Column("incumbent_difference_ci_high", "double", _HIGH, nullable=True),
        Column("worst_slice", "string", "Slice that fares worst beside champion or best baseline", nullable=True),
        Column("worst_slice_change", "double", "Change of its MAP@12, as a share of theirs", nullable=True),
        Column(
            "coverage_at_12",
            "double",
            "Share of the articles on sale that anybody was shown: coverage there",
            nullable=True,
            minimum=0,
        ),
        Column("coverage_at_12_floor", "double", "What that share must be at least", nullable=True, minimum=0),
        Column(
            "ceiling_map_at_12",
            "double",
            "MAP@12 of the best order of the version's candidates: map_ceiling there",
            nullable=True,
        ),
        Column("rolled_back_date", "date", "As of when the version was taken back; null if never", nullable=True),
        Column("run_id", "string", "Run that decided, or rolled back"),
    ),
    key=("as_of_date",),
    partition_by=("as_of_date",),
)
