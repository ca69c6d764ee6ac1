"""How the recommendations published a week ago did against what was then really bought."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.evaluation import REALISED_PERFORMANCE
from expectations.recommendations import BASELINE, RECOMMENDATIONS
from jobs.evaluation.figures import evaluate_week, figures_table
from jobs.evaluation.protocol import ALL_BUYERS, HEADLINE_K, Figure
from jobs.metrics.ranking_metrics import Truth
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK
from jobs.retrieval.baselines import first_distinct, popularity_7d
from jobs.retrieval.purchases import PURCHASE_TABLES, Purchases, encode, load_purchases

READS, WRITES = PURCHASE_TABLES, (REALISED_PERFORMANCE,)
SETTINGS = ("accept_drift", "seed")
#: What the run of a week ago published.
READS_EARLIER_RUNS = (RECOMMENDATIONS,)

PUBLISHED, POPULAR = "published", popularity_7d.__name__


def with_newest_ids(recommendations: pa.Table, articles: pa.Table) -> pa.Table:
    """The picks by the ids that articles go by today.

    Args:
        recommendations: customer_id, rank and article_id.
        articles: article_id and replaced_by.
    """
    replaced = articles.filter(articles["replaced_by"].is_valid())
    position = pc.index_in(recommendations["article_id"], value_set=replaced["article_id"].combine_chunks())
    newest = pc.coalesce(replaced["replaced_by"].take(position), recommendations["article_id"])
    return recommendations.set_column(recommendations.column_names.index("article_id"), "article_id", newest)


def published_lists(recommendations: pa.Table, purchases: Purchases, buyers: Ints) -> Ints:
    """The published picks of these buyers, (n, deepest rank); who was not published to has an empty list.

    Args:
        recommendations: customer_id, rank and article_id of one as-of date.
        buyers: customer codes, ascending, shape (n,).
    """
    ids = purchases.customer_ids.take(pa.array(buyers))
    picks = recommendations.filter(pc.is_in(recommendations["customer_id"], value_set=ids))
    width = pc.max(recommendations["rank"]).as_py()
    lists = np.full((len(buyers), width), NO_ARTICLE, dtype=np.int32)
    row = encode(picks["customer_id"], ids, "customer")
    lists[row, picks["rank"].to_numpy() - 1] = encode(picks["article_id"], purchases.article_ids, "article")
    return first_distinct(lists, width)  # two articles may have become one


def versions_of(recommendations: pa.Table) -> str:
    """The version that made them, BASELINE where all are fallbacks; several with commas between."""
    versions = set(recommendations["model_version"].unique().to_pylist()) - {BASELINE}
    return ", ".join(sorted(versions)) or BASELINE


def judge(job: Job) -> tuple[list[Figure], str, str]:
    """The figures of last week's recommendations beside the best sellers of the time, and which version made them.

    Last a summary; where there is nothing to measure no figures, and why.
    """
    settings = job.settings
    start = settings.as_of_date - WEEK
    nothing = f"nothing was published for {start}: nothing to measure"
    if not job.exists(RECOMMENDATIONS):
        return [], BASELINE, nothing
    columns = ["customer_id", "rank", "article_id", "model_version"]
    recommendations = job.read_arrow(RECOMMENDATIONS, columns, where={"as_of_date": [start]})
    if not recommendations.num_rows:
        return [], BASELINE, nothing
    purchases = load_purchases(job, before=settings.as_of_date)
    history, labels = purchases.before(start), purchases.between(start, settings.as_of_date)
    if not len(labels):
        return [], BASELINE, f"nothing was bought from {start} to {settings.as_of_date}: nothing to measure"
    buyers = Truth.of(labels).customers
    articles = job.read_arrow(ARTICLES, ["article_id", "replaced_by"])
    published = published_lists(with_newest_ids(recommendations, articles), purchases, buyers)
    popular = popularity_7d(history, buyers, start, published.shape[1])
    figures = evaluate_week({PUBLISHED: published, POPULAR: popular}, history, labels, start, settings.seed)
    score = {f.system: f.value for f in figures if (f.slice, f.metric, f.k) == (ALL_BUYERS, "map", HEADLINE_K)}
    return (
        figures,
        versions_of(recommendations),
        (
            f"recommendations of {start} reached MAP@12 {score[PUBLISHED]:.4f} over {len(buyers):,} buyers,"
            f" the best sellers {score[POPULAR]:.4f}"
        ),
    )


def main(job: Job) -> str:
    settings = job.settings
    figures, version, outcome = judge(job)
    table = figures_table(
        figures,
        REALISED_PERFORMANCE,
        as_of_date=settings.as_of_date,
        fold_start=settings.as_of_date - WEEK,
        run_id=settings.run_id,
        model_versions={PUBLISHED: version},
    )
    job.publish(REALISED_PERFORMANCE, table, replace={"as_of_date": [settings.as_of_date]})
    return outcome


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
