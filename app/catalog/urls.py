"""Addresses of the pages on articles."""

from __future__ import annotations

from django.urls import path

from app.catalog import views

app_name = "catalog"
urlpatterns = [
    path("", views.home, name="home"),
    path("article/<slug:article_id>/", views.article, name="article"),
]
