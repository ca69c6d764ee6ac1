"""Pages for shoppers: the catalogue, an article, the search, and what is picked for one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import condition, require_POST, require_safe

from app.accounts.limits import address, is_allowed
from app.accounts.views import too_many
from app.catalog import finder, lists, pictures
from app.catalog.cards import Card, card_of, listed, placed
from app.catalog.listing import FILTERS, MOST_PAGES, PAGE, Question, facets, find
from app.catalog.shelf import COLUMNS, PRICE
from app.catalog.shop import shelf, tables
from app.catalog.shown import shown
from app.events.buckets import bucket_of, list_of
from app.events.clicks import log_click
from app.events.record import log
from app.tables.snapshot import Unavailable
from app.tables.store import Reading, Source
from expectations.articles import ARTICLES

#: Names of the lists, as events have them.
CATALOGUE, SEARCH, PICTURE_SEARCH, TOGETHER, SIMILAR = (
    "category", "search", "picture_search", "bought_together", "similar_articles",
)  # fmt: skip
PLACEHOLDER = Path(__file__).parent / "static" / "catalog" / "no-picture.svg"
#: What an article's page says of it, in this order.
ATTRIBUTES = {
    "product_type_name": "Type",
    "colour_group_name": "Colour",
    "graphical_appearance_name": "Pattern",
    "department_name": "Department",
    "section_name": "Section",
    "index_group_name": "Collection",
    "garment_group_name": "Garment group",
}
PICKS_SHOWN = 12
#: Searches by picture of one machine: each takes a processor's second.
PICTURES_AN_HOUR = 120
_Found = TypeVar("_Found")
_Otherwise = TypeVar("_Otherwise")


def attempt(found: Callable[[], _Found], otherwise: _Otherwise, problems: list[str]) -> _Found | _Otherwise:
    """What is found; where its table cannot be read, `otherwise`, and the page says why."""
    try:
        return found()
    except Unavailable as error:
        problems.append(str(error))
        return otherwise


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The catalogue and its filters."""
    reading, problems = tables().reading(), list[str]()
    question = Question.of({name: value for name, value in request.GET.items() if name != "q"})
    nothing: tuple[list[Card], int] = ([], 0)
    cards, total = attempt(lambda: find(reading, question), nothing, problems)
    offered = attempt(lambda: facets(reading), {}, [])
    pages = min(-(-total // PAGE), MOST_PAGES)
    context = {
        "cards": shown(request, CATALOGUE, cards, (question.page - 1) * PAGE),
        "total": total,
        "problems": problems,
        "question": question,
        "filters": [
            {"name": name, "label": label, "values": offered.get(name, []), "chosen": question.chosen.get(name, "")}
            for name, (_, label) in FILTERS.items()
        ],
        "pages": pages,
        "before": question.address(page=question.page - 1) if question.page > 1 else "",
        "after": question.address(page=question.page + 1) if question.page < pages else "",
    }
    return render(request, "catalog/home.html", context)


@require_safe
def article(request: HttpRequest, article_id: str) -> HttpResponse:
    """One article, what is bought with it and what is like it."""
    reading, problems = tables().reading(), list[str]()
    try:
        facts = _facts(reading, article_id)
    except Unavailable as error:
        return render(request, "catalog/unavailable.html", {"problem": str(error)}, status=503)
    log_click(request, article_id)
    log(request, "view", article_id=article_id)
    methods = attempt(lambda: lists.methods(reading), [], problems)
    asked = request.GET.get("similar", "")
    method = asked if asked in methods else next((name for name in lists.METHODS if name in methods), "")
    method = method or (methods[0] if methods else "")
    rows = attempt(lambda: lists.bought_together_rows(reading, article_id), [], problems)
    alike = attempt(lambda: lists.similar_rows(reading, article_id, method), [], problems) if method else []
    both = placed(reading, [*rows, *alike], "other_article_id")  # one look-up for both lists
    together = [one for one in both[: len(rows)] if one]
    similar = [one for one in both[len(rows) :] if one]
    context = facts | {
        "problems": problems,
        "together": shown(request, TOGETHER, together[:PICKS_SHOWN]),
        "similar": shown(request, SIMILAR, similar[:PICKS_SHOWN]),
        "methods": [{"name": name, "label": lists.METHODS.get(name, name)} for name in methods],
        "method": method,
    }
    return render(request, "catalog/article.html", context)


def _facts(reading: Reading, article_id: str) -> dict[str, Any]:
    """The article's card, description and attributes. Raises Http404 where the catalogue has no such article."""
    rows = shelf().rows(reading, [article_id])
    if rows is None:
        sql = "SELECT * FROM @articles WHERE article_id = $article"
        rows = reading.query(sql, {"articles": Source(ARTICLES, COLUMNS)}, {"article": article_id})
        rows = [row | {PRICE: attempt(lambda: lists.price(reading, article_id), None, [])} for row in rows]
    if not rows:
        raise Http404("no such article")
    row = rows[0]
    return {
        "card": card_of(row, row[PRICE]),
        "text": row["detail_desc"],
        "attributes": [(label, row[name]) for name, label in ATTRIBUTES.items() if row[name]],
    }


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Articles by words."""
    words = request.GET.get("q", "").strip()[: finder.MAX_WORDS]
    if not words:
        return render(request, "catalog/search.html", {})
    reading, problems = tables().reading(), list[str]()
    answer = finder.ask(words=words)
    if answer.hits is None:  # the search proper is not up: the words as they are
        nothing: tuple[list[Card], int] = ([], 0)
        cards, _ = attempt(lambda: find(reading, Question({}, words=words)), nothing, problems)
    else:
        cards = attempt(lambda: listed(reading, answer.rows()), [], problems)
    spelt = answer.spelt if answer.spelt.lower() != words.lower() else ""
    context = {"words": words, "spelt": spelt, "cards": shown(request, SEARCH, cards), "problems": problems}
    return render(request, "catalog/search.html", context | {"notice": answer.notice})


@require_POST
def search_picture(request: HttpRequest) -> HttpResponse:
    """Articles that look like a picture, which is looked at and not kept."""
    if not is_allowed("picture", address(request), PICTURES_AN_HOUR, 3600):
        return too_many(request)
    upload = request.FILES.get("picture")
    if upload is None:
        return render(request, "catalog/search.html", {"notice": "Choose a picture first."}, status=400)
    content = upload.read()
    if problem := pictures.problem_of(content):
        notice = f"That is no picture to search with: {problem}."
        return render(request, "catalog/search.html", {"notice": notice}, status=400)
    answer = finder.ask(picture=content)
    reading, problems = tables().reading(), list[str]()
    cards = attempt(lambda: listed(reading, answer.rows()), [], problems)
    context = {"picture": True, "cards": shown(request, PICTURE_SEARCH, cards), "problems": problems}
    return render(request, "catalog/search.html", context | {"notice": answer.notice})


@require_safe
def for_you(request: HttpRequest) -> HttpResponse:
    """The customer's own picks; of who is not in the list yet, what sells."""
    reading, problems = tables().reading(), list[str]()
    picks = None
    if request.user.is_authenticated:
        name = list_of(bucket_of(request))
        picks = attempt(lambda: lists.picks(reading, request.user.customer_id, name), None, problems)
    if not (picks and picks.cards) and (shopper := _shopper(request)):
        picks = attempt(lambda: lists.personal(reading, shopper), picks, [])
    cards = picks.cards if picks else []
    is_personal = bool(cards)
    if not cards:  # a new customer has stated a taste, or none
        taste = tuple(request.user.taste) if request.user.is_authenticated else ()
        cards = attempt(lambda: lists.best_sellers(reading, PICKS_SHOWN, taste), [], problems)
    context = {
        "cards": shown(request, picks.name if picks and is_personal else "best_sellers", cards),
        "picks": picks,
        "is_personal": is_personal,
        "problems": problems,
    }
    return render(request, "catalog/for_you.html", context)


def _shopper(request: HttpRequest) -> str:
    """Who asks, as gold/personal_picks names them; empty of who was never here."""
    if request.user.is_authenticated:
        return f"c:{request.user.customer_id}"
    return f"v:{request.visitor.id}" if request.visitor.is_known else ""


def _written(request: HttpRequest, size: str, article_id: str) -> str | None:
    """The thumbnail's entity tag."""
    if size not in pictures.SIZES:
        raise Http404("no such size")
    request.thumbnail = pictures.thumbnail(article_id, size)
    if request.thumbnail is None:
        return None
    found = request.thumbnail.stat()
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'


@require_safe
@condition(etag_func=_written)
def picture(request: HttpRequest, size: str, article_id: str) -> HttpResponseBase:
    """An article's thumbnail; a drawing where it has no picture."""
    if request.thumbnail is None:
        response = FileResponse(PLACEHOLDER.open("rb"), content_type="image/svg+xml")
        response.headers["Cache-Control"] = "max-age=60"
        return response
    response = FileResponse(request.thumbnail.open("rb"), content_type="image/webp")
    response.headers["Cache-Control"] = "max-age=86400"
    return response
