"""The model card of a version as ranking.train writes it; jobs.evaluation.card_section adds its figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from string import Template

import numpy as np

from jobs.platform.settings import Settings
from jobs.ranking.fit import Fits, Plan
from jobs.retrieval.purchases import Purchases

_CARD = Template(
    """# $name as of $as_of

Two stages: two towers and further sources find some hundred candidates for a customer, a ranker orders them.

## Intended use

The $count best articles of each known customer of this shop for the week from $as_of. Customers without purchases get
them, too, from what sells. Not meant for another shop's data, for articles that were never sold before the as-of date,
or for decisions about people.

    import mlflow, pandas as pd
    model = mlflow.pyfunc.load_model("models:/$name/VERSION")
    model.predict(pd.DataFrame({"customer_id": [...]}), params={"warehouse": "/path", "as_of_date": "$as_of"})

It runs in an environment made from its own `requirements.txt`, and reads the customers' purchases and features from the
tables of a warehouse as of that date, never later ones.

## Data

| what | figure |
|---|---|
| as-of date | $as_of: nothing dated on or after it was used |
| purchases | $purchases units, $first to $last |
| customers, articles in the catalogue | $customers, $articles |
| customers, articles with a purchase | $buyers, $sold |
| image vectors | $images |
| further candidate sources | $sources |

## Fits

| fit | label weeks it learnt from | first days | for |
|---|---|---|---|
| evaluated | $evaluated_weeks | $evaluated_days | the figures: it knows none of the judged weeks |
| final | $final_weeks | $final_days | predicting: the newest weeks, as many rounds |

The week from $validation picked the rounds; it and the weeks before it, $judged together, picked the ranker.
MAP@12 of these: $scores; **$chosen** ranks. For customers without history $new_customers.
Rounds: $rounds. Seed: $seed.

## Limits

- It learns from purchases alone: no views, no stock, no returns. What was never offered was never bought.
- Intervals are over this shop's customers and the judged weeks; another season may differ.
- The figures are of past weeks in which its lists were not shown: only an A/B test measures what showing them does.
- Customers with little history get mostly recent best sellers; see their slice below once it is judged.

## Licence

Code: Apache-2.0. The weights are made of this shop's data, and follow its terms.
"""
)


def model_card(settings: Settings, plan: Plan, fits: Fits, purchases: Purchases, encoder: str | None) -> str:
    """Markdown: data, fits, intended use and limits of what was trained.

    Args:
        plan: of the evaluated fit.
        purchases: all that either fit may know.
    """
    assert plan.validation, "the evaluated fit has a validation week"
    newest = settings.snapshot_dates[1 : settings.training_weeks + 1]
    days = [date(1970, 1, 1) + timedelta(days=int(purchases.day[place])) for place in (0, -1)]
    return _CARD.substitute(
        name=settings.model_name,
        as_of=settings.as_of_date,
        count=settings.top_k,
        purchases=f"{len(purchases):,}",
        first=days[0],
        last=days[1],
        customers=f"{len(purchases.customer_ids):,}",
        articles=f"{len(purchases.article_ids):,}",
        buyers=f"{len(np.unique(purchases.customer)):,}",
        sold=f"{int(purchases.articles_on_sale().sum()):,}",
        images=f"by {encoder}" if encoder and fits.final.inputs.encoder else "none",
        sources=", ".join(fits.final.systems) or "none",
        evaluated_weeks=len(plan.weeks),
        evaluated_days=_span(min(plan.weeks), max(plan.weeks)),
        final_weeks=len(newest),
        final_days=_span(min(newest), max(newest)),
        validation=plan.validation,
        judged=fits.judged,
        scores=", ".join(f"{name} {score:.4f}" for name, score in fits.scores.items()),
        chosen=fits.final.chosen,
        new_customers="it ranks, too" if fits.final.ranks_new_customers else "the best sellers come first",
        rounds=_listed(fits.rounds),
        seed=settings.seed,
    )


def _span(first: date, last: date) -> str:
    return f"{first} to {last}"


def _listed(rounds: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {count}" for part, count in rounds.items())
