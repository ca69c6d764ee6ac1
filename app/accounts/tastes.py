"""What somebody can say that they look for: the collections of the catalogue."""

from __future__ import annotations

from app.catalog.listing import facets
from app.catalog.shop import tables
from app.tables.snapshot import Unavailable

_MOST = 20


def tastes() -> list[str]:
    """Their names; none where there is no catalogue."""
    try:
        return [row["value"] for row in facets(tables().reading())["group"]][:_MOST]
    except Unavailable:
        return []
