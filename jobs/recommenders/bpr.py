"""System: matrix factorisation fitted for the order of pairs of articles (BPR), by `implicit`.

Rendle, Freudenthaler, Gantner and Schmidt-Thieme, BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.
Each (customer, article) pair counts once, however many units it has and however old they are. Negatives are drawn as
articles are bought, a popular one more often, and never from those that the customer has.
"""

from __future__ import annotations

from functools import partial

from implicit.cpu.bpr import BayesianPersonalizedRanking

from jobs.recommenders.factors import FACTORS, Refitted
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.weights import Bought
from jobs.retrieval.source import Floats

EPOCHS = 100
LEARNING_RATE, REGULARISATION = 0.1, 0.01


def factorise(bought: Bought, seed: int) -> tuple[Floats, Floats]:
    """Vectors of customers and articles; the last number of an article's is its bias, of a customer's 1.

    One thread: several overwrite each other's steps (Hogwild), and no two fits would be the same.
    """
    solver = BayesianPersonalizedRanking(
        FACTORS, LEARNING_RATE, REGULARISATION, iterations=EPOCHS, num_threads=1, random_state=seed
    )
    solver.fit(bought.matrix, show_progress=False)
    return solver.user_factors, solver.item_factors


def fit(known: TrainingContext) -> Refitted:
    """Purchases after the fit need another fit."""
    return Refitted(partial(factorise, seed=known.seed), known.history, known.as_of_date)
