"""Middleware: no shared cache keeps a page, and no cache at all a page of a user who is logged in."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class PrivatePages:
    """Sets Cache-Control of pages that set none of their own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not response.has_header("Cache-Control"):
            is_known = request.user.is_authenticated
            response.headers["Cache-Control"] = "private, no-store" if is_known else "private, no-cache"
        return response
