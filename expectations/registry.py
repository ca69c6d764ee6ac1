"""All contracts, in the order the data flows."""

from expectations.articles import ARTICLES
from expectations.baskets import ASSOCIATION_RULES, BOUGHT_TOGETHER
from expectations.business import BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS
from expectations.contract import contracts_by_name
from expectations.customers import CUSTOMERS
from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from expectations.evaluation import (
    BACKTEST_BUYERS,
    BACKTEST_METRICS,
    BASKET_METRICS,
    EVALUATION_METRICS,
    MODEL_DECISIONS,
    NEXT_PURCHASE_METRICS,
    PAPER_TRACK_METRICS,
    REALISED_PERFORMANCE,
    SIMILARITY_METRICS,
    SYSTEM_METRICS,
)
from expectations.events import (
    ARTICLE_ATTRIBUTES,
    BOT_EVENTS,
    EVENT_FILES,
    EVENTS,
    PRODUCT_PRICES,
    VISITOR_FACTS,
    VISITORS,
)
from expectations.features import ARTICLE_FEATURES, CUSTOMER_FEATURES, INTERACTION_FEATURES
from expectations.images import IMAGE_FEATURES
from expectations.keywords import ARTICLE_KEYWORDS
from expectations.operations import DELIVERIES, FEATURE_SLICES
from expectations.performance import RECOMMENDATION_PERFORMANCE
from expectations.personal import PERSONAL_PICKS, PERSONAL_VECTORS
from expectations.recommendations import CANDIDATES, RECOMMENDATIONS, SYSTEM_RECOMMENDATIONS
from expectations.similarity import SIMILAR_ARTICLES
from expectations.tagging import ARTICLE_TAGS, LABEL_AUDIT, TAGGING_METRICS
from expectations.transactions import QUARANTINE, TRANSACTIONS

CONTRACTS = contracts_by_name(
    [
        ARTICLES,
        CUSTOMERS,
        TRANSACTIONS,
        QUARANTINE,
        DELIVERIES,
        EVENTS,
        BOT_EVENTS,
        VISITOR_FACTS,
        EVENT_FILES,
        PRODUCT_PRICES,
        ARTICLE_ATTRIBUTES,
        VISITORS,
        CUSTOMER_FEATURES,
        ARTICLE_FEATURES,
        INTERACTION_FEATURES,
        FEATURE_SLICES,
        ARTICLE_EMBEDDINGS,
        ARTICLE_TEXT_EMBEDDINGS,
        IMAGE_FEATURES,
        ARTICLE_KEYWORDS,
        EVALUATION_METRICS,
        MODEL_DECISIONS,
        CANDIDATES,
        RECOMMENDATIONS,
        PERSONAL_PICKS,
        PERSONAL_VECTORS,
        REALISED_PERFORMANCE,
        RECOMMENDATION_PERFORMANCE,
        BUSINESS_METRICS,
        CUSTOMER_SEGMENTS,
        DESCRIPTIVE_STATISTICS,
        BACKTEST_METRICS,
        BACKTEST_BUYERS,
        SIMILAR_ARTICLES,
        SIMILARITY_METRICS,
        ASSOCIATION_RULES,
        BOUGHT_TOGETHER,
        BASKET_METRICS,
        ARTICLE_TAGS,
        LABEL_AUDIT,
        TAGGING_METRICS,
        PAPER_TRACK_METRICS,
        SYSTEM_METRICS,
        SYSTEM_RECOMMENDATIONS,
        NEXT_PURCHASE_METRICS,
    ]
)
