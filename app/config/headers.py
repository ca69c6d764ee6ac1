"""Headers of every page that Django sets none of."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

#: Nothing from elsewhere, no script or style within a page, no frame around it.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


#: Of a page that a run wrote, which holds its own style and pictures.
REPORT_POLICY = POLICY.replace("style-src 'self'", "style-src 'unsafe-inline'").replace(
    "img-src 'self'", "img-src data:"
)


class SecurityHeaders:
    """Adds the content security policy, unless the page has its own, and what the browser may not use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        return response


class BodyLimit:
    """Answers a request that announces too large a body before anything reads it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > settings.SHOP_MAX_BODY:
            most = f"{settings.SHOP_MAX_BODY // 2**20} MB"
            return HttpResponse(f"Too large: send at most {most}.", status=413, content_type="text/plain")
        return self.get_response(request)
