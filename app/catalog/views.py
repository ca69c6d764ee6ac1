"""Pages on articles."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from app.catalog.shop import tables
from app.tables.errors import Unavailable
from expectations.articles import ARTICLES


def home(request: HttpRequest) -> HttpResponse:
    """The catalogue."""
    reading = tables().reading()
    try:
        files = reading.source(ARTICLES)
        articles = reading.rows("SELECT article_id, prod_name FROM read_parquet($files) LIMIT 24", {"files": files})
    except Unavailable as error:
        return render(request, "catalog/home.html", {"unavailable": str(error)})
    return render(request, "catalog/home.html", {"articles": articles})


def article(request: HttpRequest, article_id: str) -> HttpResponse:
    """One article."""
    return render(request, "catalog/article.html", {"article_id": article_id})
