"""Addresses for machines."""

from __future__ import annotations

from django.urls import path

from app.events import views

app_name = "events"
urlpatterns = [
    path("health", views.health, name="health"),
    path("metrics", views.measurements, name="metrics"),
]
