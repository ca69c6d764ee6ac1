"""What the pages of a process share: tables, the shelf of articles, and how prices are written."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from app.catalog.shelf import Shelf
from app.tables.store import Tables


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The warehouse's tables; opened by the first page."""
    return Tables(settings.SHOP_WAREHOUSE)


@lru_cache(maxsize=1)
def shelf() -> Shelf:
    """Articles by id."""
    return Shelf(Path(settings.HOME) / "shelf")


def money(price: float | None) -> str:
    """A price of the tables as a shopper reads it; nothing where there is none."""
    return "" if price is None else f"{settings.SHOP_CURRENCY}{price * settings.SHOP_PRICE_SCALE:,.2f}"
