"""The shop of all these tests: a small warehouse written by contract (no Spark), pictures, and the shop's own folder.

Django is told where they are before anything of `app` is imported, once a session; the in-process tests and the server
that the browser talks to are the same shop.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from PIL import Image

from expectations.articles import ARTICLES
from expectations.baskets import BOUGHT_TOGETHER
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.features import ARTICLE_FEATURES
from expectations.recommendations import RECOMMENDATIONS, SYSTEM_RECOMMENDATIONS
from expectations.similarity import SIMILAR_ARTICLES
from jobs.platform.schemas import arrow_schema, delta_schema
from jobs.publish.recommendations import bucket

WEEKS = (date(2020, 9, 16), date(2020, 9, 23))
WEEK = WEEKS[-1]
KINDS = ("Trousers", "Sweater", "Dress", "Shirt", "Jacket", "Skirt")
COLOURS = {"Black": (20, 20, 20), "Red": (200, 30, 30), "Blue": (30, 60, 200), "Green": (40, 150, 60)}
GROUPS = ("Ladieswear", "Menswear")
ARTICLE_IDS = tuple(f"01{n:05d}{colour:03d}" for n in range(12) for colour in range(1, 1 + len(COLOURS)))
CUSTOMER_IDS = tuple(f"{n:064x}" for n in range(1, 7))
#: Its name is what an attacker would call it; its page must say so and do nothing.
HOSTILE = ARTICLE_IDS[5]
HOSTILE_NAME = """<script>alert("x")</script>'"><img src=x onerror=alert(1)>"""
DELISTED = ARTICLE_IDS[-1]
PICKS = 12


def write(warehouse: Path, contract: Contract, rows: Sequence[Mapping[str, Any]]) -> None:
    """Commit rows as the contract's table; columns that a row leaves out are null."""
    schema = arrow_schema(contract)
    table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
    where = warehouse / contract.path
    partitions = list(contract.partition_by) or None
    if not where.exists():
        from deltalake import DeltaTable

        DeltaTable.create(str(where), delta_schema(contract), partition_by=partitions)
    write_deltalake(str(where), table, mode="append")


def articles() -> list[dict[str, Any]]:
    """Twelve products in each of four colours, one of them delisted."""
    rows = []
    for key, article_id in enumerate(ARTICLE_IDS):
        product, place = divmod(key, len(COLOURS))
        kind, colour = KINDS[product % len(KINDS)], list(COLOURS)[place]
        group = GROUPS[product % 2]
        name = HOSTILE_NAME if article_id == HOSTILE else f"{('Olzo', 'Mira', 'Kent')[product % 3]} {kind.lower()}"
        rows.append(
            {
                "article_id": article_id, "article_key": key, "product_code": article_id[:7], "prod_name": name,
                "product_type_no": product % len(KINDS), "product_type_name": kind, "product_group_name": "Garment",
                "graphical_appearance_name": "Solid", "colour_group_code": place, "colour_group_name": colour,
                "perceived_colour_master_name": colour, "department_no": product % 4,
                "department_name": f"{kind} department", "index_code": "AB"[product % 2], "index_name": group,
                "index_group_no": product % 2, "index_group_name": group, "section_name": f"{group} Everyday",
                "garment_group_name": kind, "detail_desc": f"{kind} in soft cotton, {colour.lower()}.",
                "is_delisted": article_id == DELISTED,
                "delisted_date": WEEKS[0] if article_id == DELISTED else None,
            }
        )  # fmt: skip
    return rows


def customers() -> list[dict[str, Any]]:
    return [
        {
            "customer_id": customer_id, "customer_key": key, "is_fn": False, "is_active": True, "age": 20 + 7 * key,
            "has_left": False,
        }
        for key, customer_id in enumerate(CUSTOMER_IDS)
    ]  # fmt: skip


def recommendations(week: date) -> list[dict[str, Any]]:
    """Twelve picks for every customer, which differ by customer and week."""
    shift = 3 * WEEKS.index(week)
    return [
        {
            "as_of_date": week, "week_start_date": week, "customer_id": customer_id, "rank": rank,
            "article_id": ARTICLE_IDS[(5 * key + rank + shift) % (len(ARTICLE_IDS) - 1)], "score": 1.0 / rank,
            "source": "popularity" if rank > 9 else "two_tower", "is_fallback": rank > 9,
            "reason": "Popular this week" if rank > 9 else f"Because you like {KINDS[rank % len(KINDS)].lower()}",
            "model_version": "baseline" if rank > 9 else "7", "run_id": "test", "bucket": bucket(customer_id),
        }
        for key, customer_id in enumerate(CUSTOMER_IDS)
        for rank in range(1, PICKS + 1)
    ]  # fmt: skip


def system_recommendations() -> list[dict[str, Any]]:
    return [
        {
            "as_of_date": WEEK, "system": "als", "customer_id": customer_id, "rank": rank,
            "article_id": ARTICLE_IDS[(7 * key + 2 * rank) % (len(ARTICLE_IDS) - 1)], "score": 1.0 / rank,
            "run_id": "test",
        }
        for key, customer_id in enumerate(CUSTOMER_IDS)
        for rank in range(1, PICKS + 1)
    ]  # fmt: skip


def similar_articles() -> list[dict[str, Any]]:
    return [
        {
            "method": method, "article_id": article_id, "rank": rank,
            "similar_article_id": ARTICLE_IDS[(place + step * rank) % len(ARTICLE_IDS)], "score": 1.0 - rank / 10,
            "encoder": f"{method}-v1",
        }
        for method, step in (("cosine_efficientnet_lite0", 4), ("minilm", 1))
        for place, article_id in enumerate(ARTICLE_IDS)
        for rank in range(1, 7)
    ]  # fmt: skip


def bought_together() -> list[dict[str, Any]]:
    return [
        {
            "as_of_date": WEEK, "article_id": article_id, "rank": rank,
            "other_article_id": ARTICLE_IDS[(place + 9 * rank) % (len(ARTICLE_IDS) - 1)], "level": "article",
            "basket_count": 20, "customer_count": 17, "first_date": WEEK - timedelta(60),
            "last_date": WEEK - timedelta(2), "support": 0.01, "confidence": 0.2, "lift": 4.0, "leverage": 0.001,
            "conviction": 1.1, "p_value": 0.001, "score": 0.15, "run_id": "test",
        }
        for place, article_id in enumerate(ARTICLE_IDS[:24])
        for rank in range(1, 5)
    ]  # fmt: skip


def article_features() -> list[dict[str, Any]]:
    return [
        {
            "as_of_date": WEEK, "article_id": article_id, "sales_count": 200 - place,
            "first_sale_date": WEEK - timedelta(300), "last_sale_date": WEEK - timedelta(1),
            "distinct_customer_count": 100, "price_mean": 0.01 + place / 1000, "price_stddev": 0.001,
            "price_median": 0.01 + place / 1000, "preferred_sales_channel_id": 2, "days_on_sale": 300,
            "sales_count_7d": 50 - place % 50, "sales_count_30d": 100, "distinct_customer_count_30d": 60,
        }
        for place, article_id in enumerate(ARTICLE_IDS)
    ]  # fmt: skip


def write_pictures(data: Path) -> None:
    """A plain picture of each article's colour, where H&M's lie; the last article has none."""
    for article in articles()[:-1]:
        folder = data / "images" / article["article_id"][:3]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (60, 80), COLOURS[article["colour_group_name"]])
        picture.save(folder / f"{article['article_id']}.jpg")


@pytest.fixture(scope="session")
def retailer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `warehouse` and `data`, as a run leaves them."""
    root = tmp_path_factory.mktemp("shop")
    warehouse = root / "warehouse"
    write(warehouse, ARTICLES, articles())
    write(warehouse, CUSTOMERS, customers())
    for week in WEEKS:
        write(warehouse, RECOMMENDATIONS, recommendations(week))
    write(warehouse, SYSTEM_RECOMMENDATIONS, system_recommendations())
    write(warehouse, SIMILAR_ARTICLES, similar_articles())
    write(warehouse, BOUGHT_TOGETHER, bought_together())
    write(warehouse, ARTICLE_FEATURES, article_features())
    write_pictures(root / "data")
    return root


@pytest.fixture(scope="session")
def shop(retailer: Path) -> Iterator[Path]:
    """Django, set up for that shop with its database migrated; the shop's own folder."""
    settings = {
        "DJANGO_SETTINGS_MODULE": "app.config.settings",
        "ATELIER_WAREHOUSE": str(retailer / "warehouse"),
        "ATELIER_DATA": str(retailer / "data"),
        "ATELIER_SHOP_HOME": str(retailer / "home"),
        "ATELIER_SHOP_EVENTS": str(retailer / "data" / "events"),
        "ATELIER_SHOP_HOSTS": "testserver,127.0.0.1,localhost",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    yield retailer / "home"
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def landing(shop: Path, retailer: Path) -> Path:
    """Where the shop's events arrive."""
    return retailer / "data" / "events"
