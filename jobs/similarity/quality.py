"""How good each method's similar articles are: what they share with the article, and whether they find what is new.

Measured are all methods with picks in similar_articles, whichever of them this run could renew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import mlflow
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.evaluation import SIMILARITY_METRICS
from expectations.similarity import SIMILAR_ARTICLES
from jobs.embeddings.product_lines import COLUMNS as LINE_COLUMNS
from jobs.embeddings.product_lines import with_lines
from jobs.evaluation.figures import figures_table
from jobs.evaluation.protocol import Figure
from jobs.ingest.mapping import load_mapping
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK
from jobs.platform.tracking import start_run
from jobs.retrieval.purchases import PURCHASE_TABLES, load_purchases
from jobs.similarity.likeness import LABELS, likeness
from jobs.similarity.methods import METHODS, parts_of
from jobs.similarity.newness import PLACES, POPULAR, Parts, new_article_figures
from jobs.similarity.vectors import VECTOR_TABLES, load_vectors

READS, WRITES = (*PURCHASE_TABLES, *VECTOR_TABLES[1:], SIMILAR_ARTICLES), (SIMILARITY_METRICS,)
SETTINGS = ("accept_drift", "mapping", "embedding_dim", "seed", "mlflow_tracking_uri")

_COLUMNS = ("article_id", "rank", "similar_article_id", "encoder")


def measure(job: Job, name: str) -> tuple[list[Figure], Parts]:
    """A method's figures on the catalogue, and what it compares; JobError when its picks are of other vectors."""
    asked = parts_of(job.settings.model_copy(update={"method": name}))
    parts = [(method, load_vectors(job.read_arrow, method, settings)) for method, settings in asked]
    encoder = "+".join(vectors.encoder for _, vectors in parts)
    picks = job.read_arrow(SIMILAR_ARTICLES, list(_COLUMNS), where={"method": [name]})
    if others := set(picks["encoder"].unique().to_pylist()) - {encoder}:
        raise JobError(f"method {name}: its picks are of encoder {others.pop()}; run similarity.similar_articles again")
    articles = with_lines(job.read_arrow(ARTICLES, list(dict.fromkeys((*LINE_COLUMNS, *LABELS.values())))))
    ids = pc.unique(pa.concat_arrays([vectors.article_ids for _, vectors in parts])).sort()
    return likeness(name, picks, articles, ids), parts


def log_figures(figures: Sequence[Figure]) -> None:
    """All figures to the active MLflow run: eigenfaces/same_product_type_at_6, popular_new/recall_at_12, ..."""
    mlflow.log_metrics({f"{f.system}/{f.metric}" + (f"_at_{f.k}" if f.k else ""): f.value for f in figures})


def of_new_articles(job: Job, methods: Mapping[str, Parts], start: date) -> tuple[list[Figure], str | None]:
    """Figures on the new articles bought from `start` on, or why there are none."""
    settings = job.settings
    if not load_mapping(settings.mapping).has_purchases:
        return [], f"mapping {settings.mapping} has no purchases: whether new articles are found is not measured"
    purchases = load_purchases(job, before=settings.as_of_date)
    history, labels = purchases.before(start), purchases.between(start, settings.as_of_date)
    found = new_article_figures(methods, history, labels, start, settings.seed) if len(labels) else []
    return found, None if found else f"nobody bought anything new from {start} to {settings.as_of_date}"


def main(job: Job) -> str:
    settings = job.settings
    start = settings.as_of_date - WEEK
    there = {partition["method"] for partition in job.partitions(SIMILAR_ARTICLES)}
    figures, methods, remarks = list[Figure](), dict[str, Parts](), list[str]()
    with start_run(settings, job.name):
        for name in (name for name in METHODS if name in there):
            try:
                found, methods[name] = measure(job, name)
                figures += found
            except JobError as error:  # what can be measured is
                remarks.append(f"not measured: {error}")
        if not methods:
            return "; ".join(remarks) or "no method has picks yet: nothing to measure"
        of_new, why_none = of_new_articles(job, methods, start)
        figures += of_new
        log_figures(figures)
        table = figures_table(
            figures, SIMILARITY_METRICS, as_of_date=settings.as_of_date, fold_start=start, run_id=settings.run_id
        )
        job.publish(SIMILARITY_METRICS, table, replace={"as_of_date": [settings.as_of_date]})
    value = {(f.system, f.metric, f.k): f.value for f in figures}
    said = [f"{name} {value.get((name, 'same_product_type', 1), 0):.3f}" for name in methods]
    words = f"first pick of the same product type: {', '.join(said)}"
    if of_new:
        said = [f"{name} {value[name, 'recall', PLACES]:.4f}" for name in (*methods, POPULAR)]
        words += f"; recall@{PLACES} of new articles from {start}: {', '.join(said)}"
    else:
        words += f"; {why_none}"
    return "; ".join([words, *remarks])


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
