"""Each customer's purchases as one list of events in the order of time: what sequence recommenders learn from."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.retrieval.purchases import Purchases

#: What one purchase is: `every_unit`, each unit bought is an event; `merged_lines`, identical lines of a customer, day
#: and article are one event together. Whoever buys an article in several units makes the former easy to predict.
Reading = Literal["every_unit", "merged_lines"]
READINGS: tuple[Reading, ...] = get_args(Reading)


@dataclass(frozen=True)
class Events:
    """The events of all customers, one list after the other.

    Attributes:
        offsets: the events of the customer of code c are those from offsets[c] to offsets[c + 1]; (customers + 1,).
        article: article code of each event, (events,).
        day: of each event, days since 1970-01-01, never falling within a customer; (events,).
    """

    offsets: npt.NDArray[np.int64]
    article: Ints
    day: Ints

    def __len__(self) -> int:
        return len(self.article)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Events of each customer, (customers,)."""
        return np.diff(self.offsets)

    @property
    def customer(self) -> Ints:
        """Customer code of each event, (events,)."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int32), self.counts)


def events_of(purchases: Purchases, reading: Reading) -> Events:
    """Every customer's events under a reading of what one purchase is.

    By customer, then by day. What came first within a day is not known, so it is drawn: the order of two articles is a
    hash of day and article id, the same in every history that holds them, and the units of an article stay together.
    Ordered by their ids, a network would learn from the order that the next article of a basket is the next id.

    Args:
        reading: `every_unit` or `merged_lines`. Raises JobError where it is neither.
    """
    if reading not in READINGS:
        raise JobError(f"{reading!r} is no reading of what the next purchase is; choose {' or '.join(READINGS)}")
    customers = len(purchases.customer_ids)
    first, days = (int(purchases.day.min()), int(np.ptp(purchases.day)) + 1) if len(purchases) else (0, 1)
    # One number per unit. Units of a day that are equal by hash stay in the order that they have: by article.
    day_bits = days.bit_length()
    hash_bits = 63 - day_bits - customers.bit_length()
    packed = np.left_shift(purchases.customer, day_bits, dtype=np.int64)
    packed |= purchases.day - first
    packed <<= hash_bits
    packed |= (_mixed(purchases) >> np.uint64(64 - hash_bits)).astype(np.int64)
    order = np.argsort(packed, kind="stable")
    customer, day, article = (of[order] for of in (purchases.customer, purchases.day, purchases.article))
    if reading == "merged_lines":
        is_new = np.ones(len(order), dtype=bool)
        is_new[1:] = (np.diff(customer) != 0) | (np.diff(day) != 0) | (np.diff(article) != 0)
        customer, day, article = customer[is_new], day[is_new], article[is_new]
    offsets = np.zeros(customers + 1, dtype=np.int64)
    np.cumsum(np.bincount(customer, minlength=customers), out=offsets[1:])
    return Events(offsets, article, day)


def _mixed(purchases: Purchases) -> npt.NDArray[np.uint64]:
    """A hash of the day and the article's id of each unit: SplitMix64's finaliser of both."""
    ids = np.fromiter((zlib.crc32(i.encode()) for i in purchases.article_ids.to_pylist()), dtype=np.uint64)
    mixed = purchases.day.astype(np.uint64) << np.uint64(32) | ids[purchases.article]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ mixed >> np.uint64(31)
