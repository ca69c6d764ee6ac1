"""How django-axes names who tries to log in."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest

from app.accounts.models import normalized


def username(request: HttpRequest | None, credentials: Mapping[str, str] | None) -> str:
    """The address, in the one way in which accounts are looked for: other spellings are no other accounts."""
    said = (credentials or {}).get("username") or (request.POST.get("username", "") if request else "")
    return normalized(said)[:254]
