"""What the pages of a process share: its tables."""

from __future__ import annotations

import os
from functools import lru_cache

from app.tables.store import Tables


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The warehouse's tables; opened by the first page."""
    return Tables(os.environ.get("ATELIER_WAREHOUSE") or "warehouse")
