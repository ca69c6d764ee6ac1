"""All contracts, in the order the data flows."""

from expectations.articles import ARTICLES
from expectations.contract import contracts_by_name
from expectations.customers import CUSTOMERS
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.evaluation import (
    BACKTEST_BUYERS,
    BACKTEST_METRICS,
    EVALUATION_METRICS,
    MODEL_DECISIONS,
    PAPER_TRACK_METRICS,
    REALISED_PERFORMANCE,
    SIMILARITY_METRICS,
)
from expectations.features import ARTICLE_FEATURES, CUSTOMER_FEATURES, INTERACTION_FEATURES
from expectations.images import IMAGE_FEATURES
from expectations.keywords import ARTICLE_KEYWORDS
from expectations.recommendations import CANDIDATES, RECOMMENDATIONS
from expectations.similarity import SIMILAR_ARTICLES
from expectations.transactions import QUARANTINE, TRANSACTIONS

CONTRACTS = contracts_by_name(
    [
        ARTICLES,
        CUSTOMERS,
        TRANSACTIONS,
        QUARANTINE,
        CUSTOMER_FEATURES,
        ARTICLE_FEATURES,
        INTERACTION_FEATURES,
        ARTICLE_EMBEDDINGS,
        IMAGE_FEATURES,
        ARTICLE_KEYWORDS,
        EVALUATION_METRICS,
        MODEL_DECISIONS,
        CANDIDATES,
        RECOMMENDATIONS,
        REALISED_PERFORMANCE,
        BACKTEST_METRICS,
        BACKTEST_BUYERS,
        SIMILAR_ARTICLES,
        SIMILARITY_METRICS,
        PAPER_TRACK_METRICS,
    ]
)
