"""How much events say of who did them. Imports nothing: the shop window knows these numbers, too."""

from __future__ import annotations

#: What an event weighs as implicit feedback, as the mappings that ship have it.
WEIGHTS = {"impression": 0.0, "view": 1.0, "click": 1.0, "wishlist": 2.0, "cart": 3.0, "purchase": 5.0}
#: An event counts half as much for every so many days since; one before EVENT_DAYS does not count.
EVENT_HALF_LIFE_DAYS, EVENT_DAYS = 7, 28
