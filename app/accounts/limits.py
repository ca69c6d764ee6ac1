"""How often something may be done: counted in the database, so that all processes count together."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from app.accounts.models import Limit
from app.events import metrics


def address(request: HttpRequest) -> str:
    """Who asks: an address, or of version 6, where everybody has 2^64, its network."""
    remote = request.META.get("REMOTE_ADDR") or "0.0.0.0"
    parsed = ip_address(remote.partition("%")[0])
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else remote


def is_local(request: HttpRequest) -> bool:
    """It comes from this machine, and not through a proxy that runs on it."""
    is_forwarded = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"))
    return not is_forwarded and ip_address(request.META.get("REMOTE_ADDR") or "0.0.0.0").is_loopback


def is_allowed(kind: str, who: str, most: int, seconds: int) -> bool:
    """Count once more; False where that is more than `most` in this window of so many seconds."""
    window = int(time.time() // seconds)
    key = salted_hmac("app.accounts.limits", f"{kind}|{who}|{window}", algorithm="sha256").hexdigest()
    ends_at = datetime.fromtimestamp((window + 1) * seconds, UTC)
    Limit.objects.bulk_create([Limit(key=key, ends_at=ends_at)], ignore_conflicts=True)
    is_within = bool(Limit.objects.filter(key=key, count__lt=most).update(count=F("count") + 1))
    if not is_within:
        metrics.LIMITED.labels(kind).inc()
    return is_within


def forget() -> None:
    """Remove the counts of windows that are over."""
    over = Limit.objects.filter(ends_at__lt=timezone.now() - timedelta(minutes=1))
    if over.exists():
        over.delete()
