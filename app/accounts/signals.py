"""What follows from logging in and out."""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from app.events import metrics


@receiver(user_logged_in)
def count_login(sender: Any, **facts: Any) -> None:
    metrics.LOGINS.labels("ok").inc()


@receiver(user_login_failed)
def count_failure(sender: Any, **facts: Any) -> None:
    metrics.LOGINS.labels("failed").inc()


@receiver(user_locked_out)
def count_lock_out(sender: Any, **facts: Any) -> None:
    metrics.LOGINS.labels("locked").inc()


@receiver(user_logged_out)
def renew_visitor(sender: Any, request: HttpRequest, **facts: Any) -> None:
    """Who uses the browser next is not taken for the one who left."""
    if hasattr(request, "visitor"):
        request.visitor.renew()
