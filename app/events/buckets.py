"""A/B buckets: which of the published lists a customer, or a visitor, is shown. The setting is ATELIER_SHOP_LISTS."""

from __future__ import annotations

import hashlib
import re

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from expectations.recommendations import BUCKETS, RECOMMENDATIONS

#: What is shown where the setting names nothing else: gold/recommendations.
PUBLISHED = RECOMMENDATIONS.name
_PART = re.compile(r"([a-z][a-z0-9_]*):(\d{1,2})-(\d{1,2})")


def bucket(who: str) -> int:
    """The stable bucket of a customer or visitor, as gold/recommendations.bucket has it: digits of the id's MD5."""
    return int(hashlib.md5(who.encode(), usedforsecurity=False).hexdigest()[:8], 16) % BUCKETS


def bucket_of(request: HttpRequest) -> int:
    """The bucket of the customer who is signed in, else of the visitor."""
    user = request.user
    return bucket(user.customer_id if user.is_authenticated else request.visitor.id)


def list_of(number: int) -> str:
    """The list that this bucket is shown: PUBLISHED, or a system of gold/system_recommendations."""
    return settings.SHOP_LISTS.get(number, PUBLISHED)


def parse_lists(text: str) -> dict[int, str]:
    """Bucket -> system, from `als:80-89,gru:90-99`; buckets that are not named are shown what is published.

    Raises ImproperlyConfigured where that is not what the text says, or a bucket is named twice.
    """
    found: dict[int, str] = {}
    for part in filter(None, (word.strip() for word in text.split(","))):
        match = _PART.fullmatch(part)
        first, last = (int(match[2]), int(match[3])) if match else (1, 0)
        numbers = range(first, last + 1)
        if match is None or not numbers:
            raise ImproperlyConfigured(f"ATELIER_SHOP_LISTS: {part!r} is no SYSTEM:FIRST-LAST, such as als:50-99")
        if twice := [number for number in numbers if number in found]:
            raise ImproperlyConfigured(f"ATELIER_SHOP_LISTS: bucket {twice[0]} is in two lists")
        found |= dict.fromkeys(numbers, match[1])
    return found
