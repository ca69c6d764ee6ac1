"""Filters of the templates."""

from __future__ import annotations

from django import template

from app.catalog.shop import money as said

register = template.Library()


@register.filter
def money(price: float | None) -> str:
    """A price of the tables as a shopper reads it."""
    return said(price)
