"""The champion ranks for every customer, with or without history: its best articles become `candidates`.

Places that it leaves open are filled by fallbacks (jobs.retrieval.fallbacks). Where there is no champion, the lists are
those of the baseline that was best on the run's own folds. Both are marked in every row, and each customer gets as many
candidates.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.evaluation import MODEL_DECISIONS
from expectations.recommendations import BASELINE, CANDIDATES, MAX_RECOMMENDATIONS
from expectations.tagging import ARTICLE_TAGS
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.job import Job, run
from jobs.platform.progress import track
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.tracking import load_model_folder, use_tracking
from jobs.ranking.behaviour import UNKNOWN_AGE
from jobs.ranking.candidate_retrieval import blocks, written_together
from jobs.ranking.model import FINAL, TwoStageModel, fit_folder
from jobs.ranking.model_registry import Champion, champion_as_of
from jobs.ranking.rank import Recommender, rank_blocks
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.retrieval import popularity, repurchase, same_product
from jobs.retrieval.baselines import BASELINES, rules
from jobs.retrieval.context import SourceContext
from jobs.retrieval.fallbacks import POPULARITY_ALL_TIME, SOURCES, Fallbacks, Lists, Ranking
from jobs.retrieval.popularity import units_sold
from jobs.retrieval.purchases import Purchases, load_purchases
from jobs.retrieval.recent import RecentPurchases

Positions = npt.NDArray[np.int64]

READS, WRITES = (*SNAPSHOT_TABLES, MODEL_DECISIONS), (CANDIDATES,)
SETTINGS = ("accept_drift", "top_k", "exclude_bought", "mlflow_tracking_uri", "model_name")
#: Tags fill in attributes that the catalogue does not state, where there are any.
READS_EARLIER_RUNS = (ARTICLE_TAGS,)

#: Customers whose lists a baseline makes at once: each call looks at all purchases again.
LISTED_TOGETHER = 100_000


class Candidates:
    """The complete lists of any customers as rows of `candidates`.

    Args:
        context: what is known as of the run's date.
        recent: every customer's articles before it.
        version: of the model whose rankings they are; None: a baseline's, so that all rows are fallbacks.
    """

    def __init__(
        self, context: SourceContext, recent: RecentPurchases, settings: Settings, version: str | None
    ) -> None:
        self._context, self._recent = context, recent
        self._fallbacks = Fallbacks(context, recent, settings.exclude_bought)
        self._version = version
        self._stamp = {"as_of_date": context.as_of_date, "run_id": settings.run_id}

    def rows(self, customers: Ints, ranking: Ranking) -> pa.Table:
        """As many rows for each customer, fewer only where fewer articles can be picked at all."""
        lists = self._fallbacks.complete(customers, ranking, MAX_RECOMMENDATIONS)
        row, column = np.nonzero(lists.articles != NO_ARTICLE)
        who, articles = customers[row], lists.articles[row, column]
        is_fallback = lists.is_fallback[row, column] | (self._version is None)
        history, schema = self._context.history, arrow_schema(CANDIDATES)
        is_known = self._context.age_band[who] != UNKNOWN_AGE
        columns = {
            name: pa.repeat(pa.scalar(value, schema.field(name).type), len(row)) for name, value in self._stamp.items()
        } | {
            "customer_id": history.customer_ids.take(pa.array(who)),
            "rank": pa.array(column + 1, pa.int32()),
            "article_id": history.article_ids.take(pa.array(articles)),
            "score": pa.array(lists.scores[row, column]),
            "source": pa.array(SOURCES).take(pa.array(lists.sources[row, column])),
            "is_fallback": pa.array(is_fallback),
            "model_version": pa.array([self._version or BASELINE, BASELINE]).take(
                pa.array(is_fallback.astype(np.int8))
            ),
            "because_article_id": self._because(customers, lists, row, column),
            "is_bought_by_age_band": pa.array(is_known & self._fallbacks.age_bands.is_bought(who, articles)),
            "has_history": pa.array(self._recent.has_history(who)),
        }
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def _because(self, customers: Ints, lists: Lists, row: Positions, column: Positions) -> pa.Array:
        """The customer's latest purchase that a pick is near to: of its product if found by that, else department."""
        context, articles = self._context, lists.articles[row, column]
        found = same_product.variants_bought(self._recent, context.department, customers, row, articles)
        is_variant = lists.sources[row, column] == SOURCES.index(same_product.SOURCE)
        found[is_variant] = same_product.variants_bought(
            self._recent, context.product, customers, row[is_variant], articles[is_variant]
        )
        return context.history.article_ids.take(pa.array(found, mask=found == NO_ARTICLE))


def shortage(purchases: Purchases, top_k: int, as_of_date: date) -> str | None:
    """Words where fewer than `top_k` articles can be picked at all; None where there are enough."""
    if (on_sale := int(purchases.articles_on_sale().sum())) >= top_k:
        return None
    return (
        f"only {on_sale:,} articles were sold before {as_of_date} and are listed, fewer than top-k {top_k}: "
        "lists are shorter"
    )


def by_champion(job: Job, purchases: Purchases, version: str) -> Iterator[pa.Table]:
    """Rows of all customers, ranked by a registered version's final fit."""
    settings = job.settings
    with tempfile.TemporaryDirectory() as folder:
        files = load_model_folder(settings.model_name, version, Path(folder))
        model = TwoStageModel.load(fit_folder(files, FINAL))
    purchases = load_purchases(job, before=settings.as_of_date)
    snapshot = SnapshotLoader(job, purchases, model.inputs.encoder).at(settings.as_of_date)
    recommender = Recommender(model, snapshot)
    lists = Candidates(snapshot, recommender.recent, settings, version)
    ranked = rank_blocks(recommender, purchases.customers(), MAX_RECOMMENDATIONS, settings.exclude_bought)
    for block, best in track(ranked, "scoring customers", total=len(blocks(purchases.customers()))):
        yield lists.rows(block, Ranking(best.articles, best.scores, best.sources))


def by_baseline(job: Job, purchases: Purchases, baseline: str) -> Iterator[pa.Table]:
    """Rows of all customers, ranked by no model."""
    context = SnapshotLoader(job, purchases, encoder=None).source_context(job.settings.as_of_date)
    lists = Candidates(context, context.recent, job.settings, None)
    customers = context.past.customers()
    for start in track(range(0, len(customers), LISTED_TOGETHER), f"listing {baseline}"):
        some = customers[start : start + LISTED_TOGETHER]
        articles = BASELINES[baseline](context.past, some, context.as_of_date, MAX_RECOMMENDATIONS)
        for block, listed in zip(blocks(some), blocks(articles), strict=True):
            yield lists.rows(block, found_by_rules(context, block, listed))


def found_by_rules(context: SourceContext, customers: Ints, articles: Ints) -> Ranking:
    """A baseline's lists with what each pick is to its customer: bought before, a variant of that, or popular.

    Args:
        articles: of each customer, best first, (n, w).
    """
    row, column = np.nonzero(articles != NO_ARTICLE)
    found = articles[row, column]
    is_own = context.recent.has_bought(customers, row, found)
    because = same_product.variants_bought(context.recent, context.product, customers, row, found)
    is_popular = units_sold(context.past, context.as_of_date)[found] > 0
    names = (repurchase.SOURCE, same_product.SOURCE, popularity.SOURCE, POPULARITY_ALL_TIME)
    own, variant, popular, ever = map(SOURCES.index, names)
    sources = np.full(articles.shape, ever, dtype=np.int32)
    sources[row, column] = np.select([is_own, because != NO_ARTICLE, is_popular], [own, variant, popular], ever)
    scores = np.broadcast_to((1 / np.arange(1, articles.shape[1] + 1)).astype(np.float32), articles.shape)
    return Ranking(articles, scores, sources)


def best_baseline(job: Job) -> str:
    """The best baseline of the run's own folds; `rules` where nothing was judged."""
    if job.exists(MODEL_DECISIONS):
        where = {"as_of_date": [job.settings.as_of_date], "model_name": [job.settings.model_name]}
        for name in job.read_arrow(MODEL_DECISIONS, ["best_baseline"], where=where)["best_baseline"].to_pylist():
            if name in BASELINES:
                return str(name)
    return rules.__name__


def score(job: Job, champion: Champion) -> str:
    """Publish every customer's candidates, ranked by the champion if there is one; how many, in words."""
    settings, version = job.settings, champion.version
    purchases = load_purchases(job, before=settings.as_of_date)
    baseline = best_baseline(job)
    tables = by_baseline(job, purchases, baseline) if version is None else by_champion(job, purchases, version)
    count = job.publish(CANDIDATES, written_together(tables), {"as_of_date": [settings.as_of_date]})
    ranked_by = f"the baseline {baseline}: no model that this code can use has been promoted"
    if version is not None:
        ranked_by = f"version {version}"
    remarks = [*champion.passed_over, shortage(purchases, settings.top_k, settings.as_of_date)]
    said = f"{count:,} candidates for {len(purchases.customers()):,} customers by {ranked_by}"
    return "; ".join([said, *filter(None, remarks)])


def main(job: Job) -> str:
    use_tracking(job.settings)
    return score(job, champion_as_of(job))


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
