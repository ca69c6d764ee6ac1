"""What the events app keeps in the database."""

from __future__ import annotations

from django.db import models


class Erasure(models.Model):
    """A deleted account whose events are to become anonymous; the customer's id goes once they are."""

    customer_id = models.CharField(max_length=64)
    requested_at = models.DateTimeField(auto_now_add=True)
    is_begun = models.BooleanField(default=False)
    finished_at = models.DateTimeField(null=True)
