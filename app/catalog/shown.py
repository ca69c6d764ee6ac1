"""Lists on their way to a page: what was shown is logged, and links tell where a click came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from app.catalog.cards import Card
from app.events.clicks import PARAMETER, token
from app.events.record import log_many


def shown(request: HttpRequest, name: str, cards: Sequence[Card], first: int = 0) -> list[Card]:
    """The cards of the list `name`, from place `first` on, with their links; their impressions are logged."""
    placed = []
    for position, card in enumerate(cards, first):
        facts = {"list": name, "position": position, **card.shown}
        query = urlencode({PARAMETER: token(card.article_id, **facts)})
        placed.append(replace(card, shown=facts, href=f"{address(card.article_id)}?{query}"))
    log_many(request, "impression", [{"article_id": card.article_id, **card.shown} for card in placed])
    return placed


def address(article_id: str) -> str:
    """Of an article's page."""
    return reverse("catalog:article", args=[article_id])
