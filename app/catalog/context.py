"""What every page's template knows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def shop(request: HttpRequest) -> dict[str, Any]:
    """The words that are looked for, to stand in the search box."""
    return {"searched": request.GET.get("q", "")[:200]}
