"""Middleware: the client's address behind trusted proxies; without any, forwarding headers are ignored."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class ClientAddress:
    """REMOTE_ADDR as the outermost of ATELIER_SHOP_PROXIES saw it: each adds whom it heard from to X-Forwarded-For."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        heard = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
        if 0 < settings.SHOP_PROXIES <= len(heard):
            with contextlib.suppress(ValueError):
                request.META["REMOTE_ADDR"] = str(ip_address(heard[-settings.SHOP_PROXIES]))
        return self.get_response(request)
