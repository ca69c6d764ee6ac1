"""System: logistic matrix factorisation, by `implicit`.

Johnson, Logistic Matrix Factorization for Implicit Feedback Data, NIPS workshop 2014: that a customer buys an article
has probability sigmoid(dot product + biases); what was bought counts as often as its recency-weighted units.
"""

from __future__ import annotations

from functools import partial

from implicit.cpu.lmf import LogisticMatrixFactorization

from jobs.recommenders.factors import FACTORS, Refitted
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.weights import Bought
from jobs.retrieval.source import Floats

EPOCHS = 30
LEARNING_RATE, REGULARISATION = 1.0, 0.6
#: Of the solver; the result depends on their number, but not on the machine's.
THREADS = 8


def factorise(bought: Bought, seed: int) -> tuple[Floats, Floats]:
    """Vectors of customers and articles; the last two numbers are the biases, each beside a 1 of the other side."""
    solver = LogisticMatrixFactorization(
        FACTORS,
        LEARNING_RATE,
        REGULARISATION,
        iterations=EPOCHS,
        num_threads=THREADS,
        random_state=seed,
    )
    solver.fit(bought.matrix, show_progress=False)
    return solver.user_factors, solver.item_factors


def fit(known: TrainingContext) -> Refitted:
    """Purchases after the fit need another fit."""
    return Refitted(partial(factorise, seed=known.seed), known.history, known.as_of_date)
