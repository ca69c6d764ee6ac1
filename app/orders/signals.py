"""What follows from logging in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from app.accounts.models import User
from app.orders.owners import take_over


@receiver(user_logged_in)
def keep_basket(sender: Any, request: HttpRequest, user: User, **facts: Any) -> None:
    """The visitor's basket and wishes are the account's."""
    if hasattr(request, "visitor") and request.visitor.is_known:
        take_over(user, request.visitor.id)
