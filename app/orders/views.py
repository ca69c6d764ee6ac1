"""Basket, wish list, and buying without a payment. What an article costs is what the tables say, never the browser."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from app.accounts.limits import address, is_allowed
from app.accounts.views import too_many
from app.catalog.cards import Card, cards
from app.catalog.shop import tables
from app.events.clicks import PARAMETER, shown_as
from app.events.record import log, log_many
from app.orders.models import BasketLine, Order, OrderLine, Wish
from app.orders.owners import MAX_LINES, MAX_QUANTITY, MAX_WISHES, is_known, owner
from app.tables.snapshot import Unavailable

_CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "kr": "SEK"}


@dataclass(frozen=True)
class Line:
    """A line of the basket with what the catalogue says of its article; `card` None: it is sold no more."""

    article_id: str
    quantity: int
    card: Card | None

    @property
    def total(self) -> float | None:
        return None if self.card is None or self.card.price is None else self.quantity * self.card.price


def _changes(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view that keeps something for whoever asks: by POST, and not as fast as a machine can."""

    @require_POST
    @wraps(view)
    def limited(request: HttpRequest, *arguments: object, **options: object) -> HttpResponse:
        if not is_allowed("keep", address(request), 600, 3600):
            return too_many(request)
        return view(request, *arguments, **options)

    return limited


def _known(article_ids: Iterable[str]) -> dict[str, Card]:
    """Those of the articles that are sold."""
    found = cards(tables().reading(), article_ids)
    return {article_id: card for article_id, card in found.items() if not card.is_delisted}


def _article(request: HttpRequest) -> Card:
    """The article that the form names; raises Http404 where it is not sold, or nothing is known of any."""
    article_id = _asked(request)
    try:
        card = _known([article_id]).get(article_id)
    except Unavailable as error:
        raise Http404(str(error)) from None
    if card is None:
        raise Http404("no such article")
    return card


def _asked(request: HttpRequest) -> str:
    """The id in the form, as a database can look for it."""
    return request.POST.get("article_id", "")[:64].replace("\0", "")


def _quantity(request: HttpRequest, least: int) -> int:
    value = request.POST.get("quantity", "1")
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 5 else 1
    return min(max(number, least), MAX_QUANTITY)


def _back(request: HttpRequest, otherwise: str) -> HttpResponse:
    """To the page that the form names, if it is the shop's."""
    following = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(following, {request.get_host()}, require_https=request.is_secure())
    return redirect(following if following and is_ours else otherwise)


def _lines(request: HttpRequest) -> list[Line]:
    """The basket; without articles' names and prices where the catalogue is missing."""
    if not is_known(request):
        return []
    kept = list(BasketLine.objects.filter(**owner(request)).order_by("kept_at", "pk"))
    try:
        known = _known(line.article_id for line in kept)
    except Unavailable:
        known = {}
    return [Line(line.article_id, line.quantity, known.get(line.article_id)) for line in kept]


def _total(lines: Iterable[Line]) -> float:
    return sum(line.total or 0.0 for line in lines)


def _digest(lines: Iterable[Line]) -> str:
    """Changes with articles, quantities and prices: what was shown is what is bought, and once."""
    text = repr([(line.article_id, line.quantity, line.total) for line in lines])
    return hashlib.sha256(text.encode()).hexdigest()


@require_safe
def basket(request: HttpRequest) -> HttpResponse:
    """What is in it."""
    lines = _lines(request)
    return render(request, "orders/basket.html", {"lines": lines, "total": _total(lines), "most": MAX_QUANTITY})


@_changes
def add(request: HttpRequest) -> HttpResponse:
    """Put an article in the basket."""
    card, quantity, whose = _article(request), _quantity(request, 1), owner(request)
    mine = BasketLine.objects.filter(**whose)
    if mine.count() >= MAX_LINES and not mine.filter(article_id=card.article_id).exists():
        messages.error(request, f"A basket holds {MAX_LINES} different articles.")
        return _back(request, "orders:basket")
    line, _ = BasketLine.objects.get_or_create(**whose, article_id=card.article_id, defaults={"quantity": 0})
    BasketLine.objects.filter(pk=line.pk).update(quantity=Least(F("quantity") + quantity, MAX_QUANTITY))
    shown = shown_as(request.POST.get(PARAMETER, ""), card.article_id) or {}
    log(request, "cart", article_id=card.article_id, quantity=quantity, **_cost(card), **shown)
    messages.success(request, f"{card.name} is in your basket.")
    return _back(request, "orders:basket")


@_changes
def change(request: HttpRequest) -> HttpResponse:
    """Another quantity of an article; none removes it."""
    line = BasketLine.objects.filter(**owner(request), article_id=_asked(request))
    quantity = _quantity(request, 0)
    if quantity:
        line.update(quantity=quantity)
    else:
        line.delete()
    return redirect("orders:basket")


@require_safe
def wishes(request: HttpRequest) -> HttpResponse:
    """The wish list."""
    kept = Wish.objects.filter(**owner(request)).order_by("-kept_at", "-pk") if is_known(request) else []
    ids = [wish.article_id for wish in kept]
    try:
        known = _known(ids)
    except Unavailable as error:
        return render(request, "orders/wishes.html", {"unavailable": str(error)})
    return render(request, "orders/wishes.html", {"cards": [known[one] for one in ids if one in known]})


@_changes
def wish(request: HttpRequest) -> HttpResponse:
    """Put an article on the wish list."""
    card, whose = _article(request), owner(request)
    mine = Wish.objects.filter(**whose)
    if mine.count() >= MAX_WISHES:
        messages.error(request, f"A wish list holds {MAX_WISHES} articles.")
        return _back(request, "orders:wishes")
    _, is_new = Wish.objects.get_or_create(**whose, article_id=card.article_id)
    if is_new:
        shown = shown_as(request.POST.get(PARAMETER, ""), card.article_id) or {}
        log(request, "wishlist", article_id=card.article_id, **shown)
    messages.success(request, f"{card.name} is on your wish list.")
    return _back(request, "orders:wishes")


@_changes
def unwish(request: HttpRequest) -> HttpResponse:
    """Take it off again."""
    Wish.objects.filter(**owner(request), article_id=_asked(request)).delete()
    return _back(request, "orders:wishes")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def checkout(request: HttpRequest) -> HttpResponse:
    """Buy what is in the basket, as it was shown: nothing is paid."""
    lines = [line for line in _lines(request) if line.card is not None]
    if request.method == "POST" and lines:
        if request.POST.get("seen") == _digest(lines):
            order = _placed(request, lines)
            if order is not None:
                return redirect("orders:order", order.pk)
        messages.error(request, "Your basket has changed meanwhile. Please look at it again.")
    if not lines:
        return redirect("orders:basket")
    return render(request, "orders/checkout.html", {"lines": lines, "total": _total(lines), "seen": _digest(lines)})


def _placed(request: HttpRequest, lines: list[Line]) -> Order | None:
    """The order, and its lines gone from the basket; None where another request was first."""
    ids = [line.article_id for line in lines]
    with transaction.atomic():
        bought, _ = BasketLine.objects.filter(**owner(request), article_id__in=ids).delete()
        if bought != len(ids):
            transaction.set_rollback(True)
            return None
        order = Order.objects.create(user=request.user)
        OrderLine.objects.bulk_create(
            OrderLine(
                order=order, article_id=line.article_id, name=line.card.name[:255], quantity=line.quantity,
                price=line.card.price,
            )
            for line in lines if line.card
        )  # fmt: skip
    log_many(
        request,
        "purchase",
        [{"article_id": line.article_id, "quantity": line.quantity, **_cost(line.card)} for line in lines if line.card],
    )
    return order


def _cost(card: Card) -> dict[str, object]:
    """Price and currency of an event: as pages show them."""
    if card.price is None:
        return {}
    currency = settings.SHOP_CURRENCY
    return {
        "price": round(card.price * settings.SHOP_PRICE_SCALE, 2),
        "currency": _CURRENCIES.get(currency.strip(), currency),
    }


@require_safe
@login_required
def orders(request: HttpRequest) -> HttpResponse:
    """The account's orders, the newest first."""
    return render(request, "orders/orders.html", {"orders": request.user.orders.prefetch_related("lines")[:100]})


@require_safe
@login_required
def order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """One of the account's orders; another's is as if there were none."""
    found = get_object_or_404(Order, pk=order_id, user=request.user)
    lines = list(found.lines.all())
    return render(
        request,
        "orders/order.html",
        {"order": found, "lines": lines, "total": sum(line.quantity * (line.price or 0.0) for line in lines)},
    )
