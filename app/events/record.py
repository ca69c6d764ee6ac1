"""Events as the mapping `atelier` has them, handed to the writer."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from app.events.buckets import bucket_of
from app.events.writer import writer
from expectations.events import EVENT_TYPES

#: In the session, once the customer's date of birth went out with an event.
BIRTH_DATE_SENT = "birth_date_sent"
_WEEK = timedelta(days=7)
#: Every field of an event, in the order of its line.
_NOTHING: dict[str, Any] = dict.fromkeys(
    (
        *("event_id", "time", "event", "visitor_id", "customer_id", "article_id", "list", "position", "source"),
        *("model_version", "bucket", "quantity", "price", "currency", "city", "region", "birth_date"),
    )
)


def log(request: HttpRequest, event_type: str, *, article_id: str, **facts: Any) -> None:
    """One event; see log_many."""
    log_many(request, event_type, [{"article_id": article_id}], **facts)


def log_many(
    request: HttpRequest, event_type: str, events: Iterable[Mapping[str, Any]], *, list: str | None = None,
    position: int | None = None, source: str | None = None, model_version: str | None = None,
    quantity: int | None = None, price: float | None = None, currency: str | None = None,
) -> None:  # fmt: skip
    """Events of one kind and moment: its own fields go before those given for all.

    A page that a browser fetched in advance was not seen: it logs nothing. Raises ValueError for another
    event_type than those of silver/events, KeyError for another field.
    """
    if event_type not in EVENT_TYPES:
        raise ValueError(f"{event_type!r}: an event is one of {', '.join(EVENT_TYPES)}")
    if request.method == "HEAD" or "prefetch" in request.headers.get("Sec-Purpose", ""):
        return
    of_all = _NOTHING | {
        "time": moment(now()), "event": event_type, "visitor_id": request.visitor.id, "bucket": bucket_of(request),
        "list": list, "position": position, "source": source, "model_version": model_version, "quantity": quantity,
        "price": price, "currency": currency,
    }  # fmt: skip
    if request.user.is_authenticated:
        of_all["customer_id"] = request.user.customer_id
        _add_birth_date(request, of_all)
    batch = []
    for event in events:
        if unknown := event.keys() - _NOTHING.keys():
            raise KeyError(f"{', '.join(sorted(unknown))}: no field of an event")
        batch.append(of_all | dict(event) | {"event_id": uuid.uuid4().hex})
    if batch:
        writer().put(batch)


def _add_birth_date(request: HttpRequest, event: dict[str, Any]) -> None:
    """Once a session, if the customer has stated it."""
    born = request.user.birth_date
    if born and event["event"] != "impression" and BIRTH_DATE_SENT not in request.session:
        event["birth_date"] = born.isoformat()
        request.session[BIRTH_DATE_SENT] = True


def moment(when: datetime) -> str:
    """As in the log: UTC, to the millisecond."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def now() -> datetime:
    """The shop's clock. With ATELIER_SHOP_WEEK, the same day of the week and time in the week that begins that day.

    So a shop over the picks of a past week lives in that week, which its events are then of.
    """
    real = datetime.now(UTC)
    week: date | None = settings.SHOP_WEEK
    if week is None:
        return real
    start = datetime.combine(week, time(), UTC)
    return start + (real - start) % _WEEK
