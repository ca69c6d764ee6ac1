"""For articles without purchases: does "similar to what you bought" find the new ones that are then bought?

An article is new in the 7 days after its first sale. Before a label week each buyer gets the 12 new articles that look
most like what they bought last, and what they bought of the new articles in that week is looked for among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluation.protocol import NEW_ARTICLES, Figure, check_fold, check_lists
from jobs.metrics.bootstrap import bootstrap_means, interval
from jobs.metrics.ranking_metrics import Mask, Truth, hit_ranks, recall
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.settings import WEEK
from jobs.retrieval.baselines import first_distinct
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.repurchase import RecentPurchases
from jobs.similarity.fusion import fuse
from jobs.similarity.methods import Method
from jobs.similarity.search import NO_NEIGHBOUR, nearest
from jobs.similarity.vectors import Vectors

#: What a method compares: one kind of vectors, or several, whose lists are fused.
Parts = Sequence[tuple[Method, Vectors]]
#: New articles per buyer, and how many of the articles bought last they should look like.
PLACES, RECENT = 12, 10
POPULAR, RANDOM = "popular_new", "random_new"


def new_articles(history: Purchases, start: date) -> Mask:
    """Mask over article codes: first sold in the 7 days before `start`; `history` ends before it."""
    return history.articles_on_sale() & ~history.before(start - WEEK).articles_on_sale()


def popular_new(history: Purchases, new: Mask, start: date) -> Ints:
    """The new articles that sold most units, best first; of equal ones the smaller code."""
    sold = np.bincount(history.between(start - WEEK, start).article, minlength=len(new))
    order = np.lexsort((np.arange(len(new)), -sold))
    return order[new[order]][:PLACES].astype(np.int32)


def similar_new(recent: Ints, new: Mask, article_ids: pa.StringArray, vectors: Vectors, method: Method) -> Ints:
    """For each customer the new articles most like one of the last they bought: [n, PLACES], NO_ARTICLE where fewer.

    Args:
        recent: codes of what each customer bought last, [n, any], padded with NO_ARTICLE.
        new: mask over article codes.
        article_ids: every article's id by code.
        vectors: what the method compares; articles without a vector are neither queries nor picks.
        method: gives metric and threshold.
    """
    codes = pc.index_in(vectors.article_ids, value_set=article_ids).to_numpy()
    row_of = np.full(len(article_ids) + 1, NO_NEIGHBOUR)  # one more: NO_ARTICLE has no vector either
    row_of[codes] = np.arange(len(codes))
    shelf = np.flatnonzero(new[codes])
    place_of = np.full(len(codes), NO_NEIGHBOUR)
    place_of[shelf] = np.arange(len(shelf))
    bought = row_of[recent]
    asked, position = np.unique(bought, return_inverse=True)
    found, scores = nearest(
        vectors.values[asked], vectors.values[shelf], PLACES, method.metric, exclude=place_of[asked]
    )
    is_pick = (found != NO_NEIGHBOUR) & (asked != NO_NEIGHBOUR)[:, None] & _is_within(scores, vectors, method)
    articles = np.where(is_pick, codes[shelf][found] if len(shelf) else NO_ARTICLE, NO_ARTICLE).astype(np.int32)
    distance = np.where(is_pick, scores if method.metric == "euclidean" else -scores, np.inf)
    rows = (len(recent), -1)
    position = position.reshape(bought.shape)
    lists, far = articles[position].reshape(rows), distance[position].reshape(rows)
    order = np.lexsort((lists, far), axis=1)
    return first_distinct(np.take_along_axis(lists, order, axis=1), PLACES)


def _is_within(scores: np.ndarray, vectors: Vectors, method: Method) -> np.ndarray | bool:
    return True if method.within is None else scores <= method.limit(vectors.values)


def new_article_figures(
    methods: Mapping[str, Parts], history: Purchases, labels: Purchases, start: date, seed: int
) -> list[Figure]:
    """recall@12 of the methods, of the best sellers among the new, and by chance; means over the buyers of any new one.

    And per method recall_minus_popular_new, the paired difference, and with_picks, the share of those buyers who got
    any; 95 % customer bootstraps. None where nobody bought anything new.

    Args:
        methods: name -> what it compares.
        history: purchases before `start`.
        labels: purchases of the week from `start`.
        start: first day of the label week.
        seed: of the bootstrap.

    Raises:
        ValueError: history or labels reach across the borders of the label week.
    """
    check_fold(history, labels, start)
    bought, new = Truth.of(labels), new_articles(history, start)
    truth = bought.only(new[bought.article])
    if not len(truth.customers):
        return []
    popular = popular_new(history, new, start)
    lists = {POPULAR: np.full((len(truth.customers), PLACES), NO_ARTICLE, dtype=np.int32)}
    lists[POPULAR][:, : len(popular)] = popular
    recent = RecentPurchases(history).of(truth.customers, RECENT)
    for name, parts in methods.items():
        some = [similar_new(recent, new, history.article_ids, vectors, method) for method, vectors in parts]
        lists[name] = some[0] if len(some) == 1 else fuse(some, PLACES)[0].astype(np.int32)
    found = {}
    for name, ranked in lists.items():
        check_lists(name, ranked, history.articles_sold(), history)
        found[name] = recall(hit_ranks(ranked, truth), truth, PLACES)
    columns = {(name, "recall"): values for name, values in found.items()}
    columns |= {(name, f"recall_minus_{POPULAR}"): found[name] - found[POPULAR] for name in methods}
    values = np.column_stack(list(columns.values()))
    low, high = interval(bootstrap_means(truth.customers, values, seed))
    figures = [
        Figure(name, NEW_ARTICLES, metric, PLACES, float(values[:, i].mean()), float(low[i]), float(high[i]))
        for i, (name, metric) in enumerate(columns)
    ]
    count = int(new.sum())
    figures += [
        Figure(RANDOM, NEW_ARTICLES, "recall", PLACES, min(1.0, PLACES / count)),  # what any 12 of them find on average
        Figure(RANDOM, NEW_ARTICLES, "new_articles", 0, float(count)),
        Figure(RANDOM, NEW_ARTICLES, "buyers", 0, float(len(truth.customers))),
    ]
    with_picks = {name: (lists[name] != NO_ARTICLE).any(axis=1) for name in methods}
    return figures + [Figure(n, NEW_ARTICLES, "with_picks", 0, float(some.mean())) for n, some in with_picks.items()]
