"""Whether the shop is well, and its measurements."""

from __future__ import annotations

import logging
import os

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from app.accounts.limits import is_local
from app.catalog.shop import tables
from app.events import metrics
from app.events.writer import writer
from app.tables.snapshot import Unavailable
from expectations.articles import ARTICLES

log = logging.getLogger(__name__)


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """200 where pages can be shown and events kept, else 503. Missing tables are named; pages name them, too."""
    checks = {"database": _database(), "events": _events()}
    is_well = all(verdict == "ok" for verdict in checks.values())
    answer = {"status": "ok" if is_well else "failing", **checks, "tables": _tables()}
    return JsonResponse(answer, status=200 if is_well else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        log.exception("the database does not answer")
        return "does not answer"
    return "ok"


def _events() -> str:
    folder = settings.SHOP_EVENTS
    if writer().error:
        return "cannot be written"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return "cannot be written"
    return "ok" if os.access(folder, os.W_OK | os.X_OK) else "cannot be written"


def _tables() -> str:
    try:
        tables().snapshot(ARTICLES)
    except Unavailable:
        return "no articles"
    return "ok"


@require_safe
@never_cache
def measurements(request: HttpRequest) -> HttpResponse:
    """Prometheus's text, for this machine only: not for whoever comes through a proxy that runs on it, either."""
    if not is_local(request):
        raise Http404
    return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
