"""The model's inputs by name, the same in snapshots, model.json, the registry's tag and docs/reference/model_inputs.md.

The images, and the shares of TASTES and mean image of a customer's history, are inputs of several columns each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

from jobs.retrieval.candidates import SOURCES, SYSTEMS

#: Customer features as in the tables; the skewed ones (counts, money, days) are taken as log(1 + x).
CUSTOMER_PLAIN = ("price_mean", "price_min", "price_max", "price_stddev", "price_mean_30d")
CUSTOMER_LOGGED = (
    "transaction_count",
    "total_spend",
    "distinct_article_count",
    "days_active",
    "purchase_frequency",
    "days_since_last_purchase",
    "transaction_count_30d",
    "total_spend_30d",
)
CUSTOMER_ATTRIBUTES = ("age", "is_fn", "is_active")
CUSTOMER_NUMERIC = (
    *CUSTOMER_PLAIN,
    *CUSTOMER_LOGGED,
    *CUSTOMER_ATTRIBUTES,
    "has_history",
    "weekend_share_28d",
    "online_share_28d",
    "repeat_share",
    "days_between_visits",
    "visit_overdue",
    "newness",
)
CUSTOMER_CATEGORIES = ("club_member_status", "fashion_news_frequency", "preferred_sales_channel_id")

#: Article features as in the tables, the skewed ones as log(1 + x).
ARTICLE_PLAIN = ("price_mean", "price_stddev", "price_median")
ARTICLE_LOGGED = (
    "sales_count",
    "distinct_customer_count",
    "days_on_sale",
    "sales_count_7d",
    "sales_count_30d",
    "distinct_customer_count_30d",
)
ARTICLE_NUMERIC = (
    *ARTICLE_PLAIN,
    *ARTICLE_LOGGED,
    "days_since_last_sale",
    "has_image",
    "season_sin",
    "season_cos",
    "trend",
    "rank_in_product_group",
    "rank_in_department",
    "repurchase_rate",
    "product_repurchase_rate",
    "product_type_repurchase_rate",
)
ARTICLE_CATEGORIES = (
    "product_type_name",
    "product_group_name",
    "graphical_appearance_name",
    "colour_group_name",
    "perceived_colour_master_name",
    "department_name",
    "section_name",
    "index_group_name",
    "garment_group_name",
    "preferred_sales_channel_id",
)

#: Attributes whose shares in a customer's history describe the customer, as inputs of tower and branch.
TASTES = ("index_group_name", "product_group_name", "perceived_colour_master_name", "garment_group_name")
#: Attributes with a pair feature: the share of the history that has the article's own value.
AFFINITIES = (*TASTES, "product_type_name", "department_name", "section_name", "colour_group_name")
AFFINITY_NUMERIC = tuple(f"{name}_affinity" for name in AFFINITIES)
#: How often a customer bought: the article itself, its product (any variant), its product type.
BOUGHT = ("bought", "product_bought", "product_type_bought")
PAIR_NUMERIC = (
    *(f"{name}_{what}" for name in BOUGHT for what in ("units", "visits", "recency", "overdue")),
    "price_difference",
    "group_price_difference",
    "image_similarity",
    "newness_difference",
    "age_band_lift",
    *AFFINITY_NUMERIC,
)


def inputs_with(systems: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Every input of a model that was given these systems as candidate sources, by what it describes.

    Each candidate source gives two of the pair: 1 / rank, 0 where it did not find the article, and its score.
    """
    sources = [source for source in SOURCES if source in systems or source not in SYSTEMS]
    said = (f"{source}_{what}" for source in sources for what in ("closeness", "score"))
    return {
        "customer": (*CUSTOMER_NUMERIC, *CUSTOMER_CATEGORIES, *(f"{name}_shares" for name in TASTES), "mean_image"),
        "article": (*ARTICLE_NUMERIC, *ARTICLE_CATEGORIES, "image"),
        "pair": (*PAIR_NUMERIC, *said),
    }


#: Those of every model.
INPUTS = inputs_with(())
#: Digest of their names, the tag `inputs` of a registered version: a version with another one cannot be used.
INPUTS_DIGEST = hashlib.sha256(json.dumps(INPUTS).encode()).hexdigest()[:16]
