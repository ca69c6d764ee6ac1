"""Middleware: a line of the log and a measurement for each request, without what was typed or who it was."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from app.events import metrics

#: Asked every few seconds by machines: measured, not logged.
_QUIET = {"events:health", "events:metrics"}
_METHODS = {"GET", "HEAD", "POST", "OPTIONS"}

log = logging.getLogger("shop.requests")


class Requests:
    """Measures and logs; the answer's header X-Request-ID is the log's request_id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.id = uuid.uuid4().hex[:16]
        begun = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - begun
        response.headers["X-Request-ID"] = request.id
        # A route, not the path: links in mails hold secrets.
        match = request.resolver_match
        view = match.view_name if match else "none"
        method = request.method if request.method in _METHODS else "other"
        metrics.REQUESTS.labels(view, method, response.status_code).observe(seconds)
        if view not in _QUIET:
            facts = {
                "request_id": request.id, "method": method, "view": view, "route": match.route if match else None,
                "status": response.status_code, "milliseconds": round(1000 * seconds, 1),
            }  # fmt: skip
            level = logging.ERROR if response.status_code >= 500 else logging.INFO
            log.log(level, "request", extra={"facts": facts})
        return response
