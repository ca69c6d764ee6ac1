"""What every page's template knows of the basket."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from app.orders.models import BasketLine
from app.orders.owners import is_known, owner


def basket(request: HttpRequest) -> dict[str, Any]:
    """`basket_count`: units in it, counted where a template asks."""
    return {"basket_count": SimpleLazyObject(lambda: _count(request))}


def _count(request: HttpRequest) -> int:
    if not is_known(request):
        return 0
    return BasketLine.objects.filter(**owner(request)).aggregate(units=Sum("quantity"))["units"] or 0
