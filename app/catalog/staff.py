# ruff: noqa: S608 - queries are made of this module's own words; what is asked for is a parameter
"""Pages for staff: what a customer is shown, two models side by side, how last week's picks did, and the report."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pyarrow.fs as pafs
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from app.catalog import lists
from app.catalog.cards import Card
from app.catalog.shop import tables
from app.catalog.shown import address
from app.catalog.views import attempt
from app.config.headers import REPORT_POLICY
from app.tables.snapshot import Unavailable
from app.tables.store import Reading, Row, Source
from expectations.customers import CUSTOMERS
from expectations.evaluation import METRICS, REALISED_PERFORMANCE
from expectations.recommendations import RECOMMENDATIONS
from jobs.platform import storage

PUBLISHED = RECOMMENDATIONS.name
#: Customers that are offered to look at.
EXAMPLES = 8
View = Callable[[HttpRequest], HttpResponse]


def staff_only(view: View) -> View:
    """Of others, who is not signed in is asked to, and who is may not see the page."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not (request.user.is_active and request.user.is_staff):
            raise PermissionDenied
        return view(request)

    return guarded


@require_safe
@staff_only
def overview(request: HttpRequest) -> HttpResponse:
    return redirect("catalog:staff_customer")


@require_safe
@staff_only
def customer(request: HttpRequest) -> HttpResponse:
    """The shop as a customer sees it, by one model or by two. Staff's looks are no impressions: nothing is logged."""
    reading, problems = tables().reading(), list[str]()
    customer_id = request.GET.get("customer", "").strip()[:200]
    models = [PUBLISHED, *attempt(lambda: lists.systems(reading), [], [])]
    chosen = [request.GET.get(name, "") for name in ("model", "beside")]
    chosen = [name for name in chosen if name in models] or [PUBLISHED]
    columns = [_column(reading, customer_id, name, problems) for name in dict.fromkeys(chosen)] if customer_id else []
    places = [{card.article_id: place for place, card in enumerate(column["cards"], 1)} for column in columns]
    shared = set.intersection(*(set(place) for place in places)) if len(places) == 2 else set()
    context = {
        "customer_id": customer_id,
        "known": attempt(lambda: _customer(reading, customer_id), None, problems) if customer_id else None,
        "examples": attempt(lambda: _examples(reading), [], [] if customer_id else problems),
        "models": models,
        "chosen": chosen,
        "columns": columns,
        "shared": shared,
        "problems": problems,
    }
    return render(request, "catalog/staff_customer.html", context)


def _column(reading: Reading, customer_id: str, name: str, problems: list[str]) -> dict[str, Any]:
    picks = attempt(lambda: lists.picks(reading, customer_id, name), None, problems)
    cards: list[Card] = picks.cards if picks else []
    return {
        "name": name,
        "as_of_date": picks.as_of_date if picks else None,
        "cards": cards,
        "address": {card.article_id: address(card.article_id) for card in cards},
    }


def _customer(reading: Reading, customer_id: str) -> Row | None:
    """What is known of a customer; None of one who is not in the retailer's list. Raises Unavailable."""
    columns = ("customer_id", "age", "club_member_status", "fashion_news_frequency", "has_left")
    sql = "SELECT * FROM @customers WHERE customer_id = $customer"
    rows = reading.query(sql, {"customers": Source(CUSTOMERS, columns)}, {"customer": customer_id})
    return rows[0] if rows else None


def _examples(reading: Reading) -> list[str]:
    """Some customers who have picks. Raises Unavailable."""
    sql = f"SELECT customer_id FROM @picks WHERE rank = 1 LIMIT {EXAMPLES:d}"
    rows = reading.query(sql, {"picks": Source(RECOMMENDATIONS, ("customer_id", "rank"))})
    return [row["customer_id"] for row in rows]


@require_safe
@staff_only
def performance(request: HttpRequest) -> HttpResponse:
    """How the picks of the newest week that is over did."""
    problem, rows, as_of_date = "", list[Row](), None
    reading = tables().reading()
    try:
        columns = ("system", "slice", "metric", "k", "value", "ci_low", "ci_high", "model_version", "fold")
        sql = "SELECT * FROM @figures ORDER BY slice <> 'all', slice, metric, k, system"
        rows = reading.query(sql, {"figures": Source(REALISED_PERFORMANCE, columns)})
        as_of_date = reading.snapshot(REALISED_PERFORMANCE).as_of_date
    except Unavailable as error:
        problem = str(error)
    context = {"problem": problem, "rows": rows, "as_of_date": as_of_date, "explained": METRICS}
    return render(request, "catalog/staff_performance.html", context)


@require_safe
@staff_only
def report(request: HttpRequest) -> HttpResponse:
    """The newest run's page of figures, as the run wrote it."""
    files, place = storage.filesystem(f"{storage.normalized(settings.SHOP_WAREHOUSE)}/reports")
    found = files.get_file_info(pafs.FileSelector(place, allow_not_found=True))
    weeks = [info.path for info in found if info.type == pafs.FileType.Directory]
    try:
        with files.open_input_stream(f"{max(weeks, default=place)}/index.html") as stream:
            content = stream.read()
    except OSError:
        problem = "No run has written its report yet. Run the weekly DAG, or `make demo`."
        return render(request, "catalog/staff_report.html", {"problem": problem})
    return HttpResponse(content, headers={"Content-Security-Policy": REPORT_POLICY})
