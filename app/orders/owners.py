"""Whose a basket or a wish list is: the account's, else the visitor's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from app.accounts.models import User
from app.orders.models import BasketLine, Wish

MAX_QUANTITY = 20
#: Different articles in a basket, and on a wish list.
MAX_LINES, MAX_WISHES = 50, 200
#: What an anonymous visitor left is kept for so long.
DAYS = 30


def owner(request: HttpRequest) -> dict[str, Any]:
    """The fields of a line that say whose it is."""
    if request.user.is_authenticated:
        return {"user": request.user, "visitor_id": ""}
    return {"user": None, "visitor_id": request.visitor.id}


def is_known(request: HttpRequest) -> bool:
    """There may be something of theirs."""
    return request.user.is_authenticated or request.visitor.is_known


@transaction.atomic
def take_over(user: User, visitor_id: str) -> None:
    """What the visitor has collected is the account's from now on, beside what it had."""
    for line in BasketLine.objects.filter(visitor_id=visitor_id):
        own, is_new = BasketLine.objects.get_or_create(
            user=user, visitor_id="", article_id=line.article_id, defaults={"quantity": line.quantity}
        )
        if not is_new:
            own.quantity = min(own.quantity + line.quantity, MAX_QUANTITY)
            own.save(update_fields=["quantity"])
    for wish in Wish.objects.filter(visitor_id=visitor_id):
        Wish.objects.get_or_create(user=user, visitor_id="", article_id=wish.article_id)
    for kept in (BasketLine, Wish):
        kept.objects.filter(visitor_id=visitor_id).delete()


def forget() -> None:
    """Remove what visitors left long ago."""
    for kept in (BasketLine, Wish):
        old = kept.objects.exclude(visitor_id="").filter(kept_at__lt=timezone.now() - timedelta(days=DAYS))
        if old.exists():
            old.delete()
