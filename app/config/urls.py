"""Addresses of the shop."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("app.catalog.urls")),
    path("account/", include("app.accounts.urls")),
    path("", include("app.events.urls")),
    path("", include("app.orders.urls")),
]
