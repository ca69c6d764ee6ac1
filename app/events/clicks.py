"""Clicks: a link to an article states, signed, where it was shown; the article's page logs the click."""

from __future__ import annotations

from typing import Any

from django.core import signing
from django.http import HttpRequest

from app.events.record import log

PARAMETER = "c"
_SALT = "app.events.click"
_SECONDS = 24 * 3600
_FIELDS = ("list", "position", "source", "model_version")


def token(article_id: str, **shown: Any) -> str:
    """For the link's parameter `c`. `shown`: list, position, source, model_version."""
    if unknown := shown.keys() - set(_FIELDS):
        raise KeyError(f"{', '.join(sorted(unknown))}: no field of a click")
    return signing.dumps([article_id, *(shown.get(field) for field in _FIELDS)], salt=_SALT)


def shown_as(text: str, article_id: str) -> dict[str, Any] | None:
    """What a link's parameter says of where this article was shown: list, position, source, model_version.

    None where it was signed for another article, with another key, or too long ago.
    """
    if not text or len(text) > 1_000:
        return None
    try:
        of, *values = signing.loads(text, salt=_SALT, max_age=_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if of != article_id or len(values) != len(_FIELDS):
        return None
    return dict(zip(_FIELDS, values, strict=True))


def log_click(request: HttpRequest, article_id: str) -> dict[str, Any] | None:
    """Log the click that led to this article's page; returns what the link stated. None: there was no such link."""
    shown = shown_as(request.GET.get(PARAMETER, ""), article_id)
    if shown is not None:
        log(request, "click", article_id=article_id, **shown)
    return shown
