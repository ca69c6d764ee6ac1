"""Addresses of the pages on articles, and of those for staff."""

from __future__ import annotations

from django.urls import path

from app.catalog import staff, views

app_name = "catalog"
urlpatterns = [
    path("", views.home, name="home"),
    path("article/<path:article_id>/", views.article, name="article"),
    path("search/", views.search, name="search"),
    path("search/picture/", views.search_picture, name="search_picture"),
    path("for-you/", views.for_you, name="for_you"),
    path("picture/<slug:size>/<path:article_id>", views.picture, name="picture"),
    path("staff/", staff.overview, name="staff"),
    path("staff/customer/", staff.customer, name="staff_customer"),
    path("staff/performance/", staff.performance, name="staff_performance"),
    path("staff/report/", staff.report, name="staff_report"),
]
