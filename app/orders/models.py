"""Baskets, wishes and orders. What an anonymous visitor collects is the account's once they log in."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models


class _Kept(models.Model):
    """An article that somebody keeps: an account, else a visitor."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    visitor_id = models.CharField(max_length=32, blank=True)
    article_id = models.CharField(max_length=64)
    kept_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        constraints: ClassVar = [
            models.UniqueConstraint("user", "article_id", condition=models.Q(visitor_id=""), name="%(class)s_of_user"),
            models.UniqueConstraint(
                "visitor_id", "article_id", condition=~models.Q(visitor_id=""), name="%(class)s_of_visitor"
            ),
        ]


class BasketLine(_Kept):
    """So many of an article, to be bought."""

    quantity = models.PositiveSmallIntegerField(default=1)


class Wish(_Kept):
    """An article on the wish list."""


class Order(models.Model):
    """What was bought at once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="orders")
    placed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-placed_at",)


class OrderLine(models.Model):
    """An article of an order, as it was then. `price`: of one; null where the shop knows none."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    article_id = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    quantity = models.PositiveSmallIntegerField()
    price = models.FloatField(null=True)

    class Meta:
        ordering = ("pk",)
