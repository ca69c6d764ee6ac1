"""Where the ranker starts: the order of a rule that a merchandiser would write down, as log-odds of a purchase.

The trees learn what to add to it. With little data they add little, and the rule's order stays; with much they leave
it. Which rule it is, of the orders of jobs.retrieval.baselines, the training weeks say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import NO_ARTICLE
from jobs.retrieval import popularity, repurchase, same_product
from jobs.retrieval.baselines import OWN_DAYS, POPULAR
from jobs.retrieval.candidates import Merged

Floats = npt.NDArray[np.float32]

#: Places that the choice between rules looks at.
K = 12


def own_first(merged: Merged) -> Floats:
    """Place of each candidate (n, w) by own_recent_then_popularity: own articles, the latest first, then best sellers.

    What is neither shares the place behind all of these; NaN where there is no candidate.
    """
    own, popular = merged.ranks[repurchase.SOURCE], merged.ranks[popularity.SOURCE]
    return _places(merged, [own, _count(own) + popular])


def rules(merged: Merged) -> Floats:
    """Likewise by `rules`: own of late, variants, the first best sellers, other own ones, more best sellers."""
    own, popular, variant = (merged.ranks[m.SOURCE] for m in (repurchase, popularity, same_product))
    # The score is minus the days since the last purchase, plus less than one.
    late = np.where(merged.scores[repurchase.SOURCE] >= -OWN_DAYS, own, np.nan)
    before = _count(late)
    after = before + _count(variant) + POPULAR
    first = np.where(popular <= POPULAR, before + _count(variant) + popular, np.nan)
    return _places(
        merged, [late, before + variant, first, after + own - before, after + _count(own) - before + popular]
    )


def popular_first(merged: Merged) -> Floats:
    """Likewise the best sellers first, then own articles: where few articles sell, and all to everybody."""
    own, popular = merged.ranks[repurchase.SOURCE], merged.ranks[popularity.SOURCE]
    return _places(merged, [popular, _count(popular) + own])


RULES: Mapping[str, Callable[[Merged], Floats]] = {rule.__name__: rule for rule in (own_first, rules, popular_first)}


def log_odds(places: Floats) -> Floats:
    """What a place is worth: a purchase is about half as likely at twice the place."""
    return -np.log(places)


def best_rule(labels: Sequence[Floats], places: Sequence[Mapping[str, Floats]]) -> str:
    """The rule that has most of what was bought far ahead, by the sum of 1 / place within the first K.

    Args:
        labels: of each week's pairs, 1 where bought, (n,).
        places: of the same pairs, by rule.
    """

    def worth(rule: str) -> float:
        found = np.concatenate([of[rule][label > 0] for label, of in zip(labels, places, strict=True)])
        return float((1 / found[found <= K]).sum())

    return max(places[0], key=worth)


def _count(ranks: Floats) -> Floats:
    """How many candidates of each row have one, (n, 1)."""
    return np.isfinite(ranks).sum(axis=1, keepdims=True).astype(np.float32)


def _places(merged: Merged, tiers: Sequence[Floats]) -> Floats:
    """The first place that a tier gives; behind all of them where none does."""
    with np.errstate(invalid="ignore"):
        place = np.fmin.reduce(tiers)
    last = np.nanmax(place, axis=1, keepdims=True, initial=0) + 1
    place = np.where(np.isnan(place), last, place)
    return np.where(merged.articles == NO_ARTICLE, np.nan, place).astype(np.float32)
