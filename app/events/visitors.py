"""Who an anonymous visitor is: a random id in a signed cookie, made when there is something to remember."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

COOKIE, SALT = "visitor", "app.events.visitor"
SECONDS = 365 * 24 * 3600
_ID = re.compile("[0-9a-f]{32}")


class Visitor:
    """The visitor of one request."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._id: str | None = None
        self._is_new = self._is_used = False

    @property
    def id(self) -> str:
        """32 hexadecimal digits. Of a visitor without a cookie they are new, and will be set."""
        self._is_used = True
        return self._found()

    def _found(self) -> str:
        if self._id is None:
            value = self._request.get_signed_cookie(COOKIE, default="", salt=SALT, max_age=SECONDS)
            if _ID.fullmatch(value):
                self._id = value
            else:
                self._id, self._is_new = secrets.token_hex(16), True
        assert self._id is not None
        return self._id

    @property
    def is_known(self) -> bool:
        """They have been here before: there may be something of theirs."""
        return bool(self._found()) and not self._is_new

    def renew(self) -> None:
        """Be somebody else from now on: whoever uses the browser next is not taken for the one who left."""
        self._id, self._is_new, self._is_used = secrets.token_hex(16), True, True

    def remember(self, response: HttpResponse) -> None:
        """Set the cookie if the id is new, and somebody asked for it."""
        if self._is_new and self._is_used:
            response.set_signed_cookie(
                COOKIE, self.id, salt=SALT, max_age=SECONDS, httponly=True, samesite="Lax",
                secure=settings.SESSION_COOKIE_SECURE,
            )  # fmt: skip


class Visitors:
    """Middleware: request.visitor."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.visitor = Visitor(request)
        response = self.get_response(request)
        request.visitor.remember(response)
        return response
