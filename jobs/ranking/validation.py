"""What a fitted model's lists are worth in a week that it has not seen, and what is decided by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.metrics.bootstrap import bootstrap_means, interval, widened_where_few_differ
from jobs.metrics.ranking_metrics import Floats, Truth, average_precision, hit_ranks
from jobs.platform.codes import Ints
from jobs.ranking.boosted_trees import BoostedTrees
from jobs.ranking.candidate_retrieval import BLOCK_SIZE
from jobs.ranking.model import TwoStageModel
from jobs.ranking.rank import Recommender
from jobs.ranking.snapshot import Snapshot
from jobs.retrieval.purchases import Purchases

#: Places that count, and the ranker chosen where no difference is significant.
K, PREFERRED = 12, BoostedTrees.NAME


class Validated(NamedTuple):
    """Average precision at 12 of each buyer's lists, (n,), of one week or of several.

    Attributes:
        customers: the buyers' codes.
        is_new: nothing is known of what they bought, or met where events count.
        rankers: by name, of the lists as ranked, also for those who are new.
        best_sellers: of lists with the best sellers first.
    """

    customers: Ints
    is_new: npt.NDArray[np.bool_]
    rankers: dict[str, Floats]
    best_sellers: Floats

    @classmethod
    def joined(cls, weeks: Sequence[Validated]) -> Validated:
        """Weeks one after the other."""
        return cls(
            np.concatenate([week.customers for week in weeks]),
            np.concatenate([week.is_new for week in weeks]),
            {name: np.concatenate([week.rankers[name] for week in weeks]) for name in weeks[0].rankers},
            np.concatenate([week.best_sellers for week in weeks]),
        )

    def chosen_ranker(self, seed: int) -> str:
        """The preferred ranker, or another whose lead over it is significant.

        The difference of two rankers is mostly noise on the few buyers of a small shop.
        """
        best = max(self.rankers, key=lambda name: self.rankers[name].mean())
        return best if self._is_better(self.rankers[best] - self.rankers[PREFERRED], seed) else PREFERRED

    def ranks_new_customers(self, ranker: str, seed: int) -> bool:
        """Whether the ranker's lead over the best sellers is significant for those who are new.

        Rankers learn from customers with a history mostly. Where few are new, best sellers stay first for them.
        """
        return self._is_better(np.where(self.is_new, self.rankers[ranker] - self.best_sellers, np.nan), seed)

    def _is_better(self, lead: Floats, seed: int) -> bool:
        """Whether the paired 95 % bootstrap interval of a lead is above zero; NaN does not count."""
        counts = ~np.isnan(lead)
        if not counts.any():
            return False
        customers, leads = self.customers[counts], lead[counts, None]
        low, _ = widened_where_few_differ(customers, leads, interval(bootstrap_means(customers, leads, seed)))
        return bool(low[0] > 0)


def validated(model: TwoStageModel, snapshot: Snapshot, labels: Purchases) -> Validated:
    """The model's lists for every buyer of a week."""
    recommender, names = Recommender(model, snapshot), list(model.rankers)
    truth = Truth.of(labels)
    found = [np.empty(len(truth.buyer), dtype=np.int32) for _ in range(len(names) + 1)]
    for first in range(0, len(truth.customers), BLOCK_SIZE):
        buyers, pairs = truth.of_buyers(slice(first, first + BLOCK_SIZE))
        candidates = recommender.candidates(buyers.customers)
        lists = [*recommender.rank_by(candidates, K, names), recommender.best_sellers_first(candidates, K)]
        for ranks, ranked in zip(found, lists, strict=True):
            ranks[pairs] = hit_ranks(ranked.articles, buyers)
    *rankers, best_sellers = (average_precision(ranks, truth, K) for ranks in found)
    is_new = ~recommender.has_history(truth.customers)
    return Validated(truth.customers, is_new, dict(zip(names, rankers, strict=True)), best_sellers)
