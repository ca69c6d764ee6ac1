"""Recency-weighted purchases: the sparse matrix that all collaborative systems start from."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np
from scipy import sparse

from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.retrieval.purchases import Purchases, day_number

#: A unit counts half as much every so many days: Ding and Li, Time Weight Collaborative Filtering, CIKM 2005.
HALF_LIFE_DAYS = 60


def weights(history: Purchases, as_of_date: date) -> sparse.csr_matrix:
    """Of each (customer, article), by code: the sum over units of 2 ^ -(age in days / HALF_LIFE_DAYS), float32.

    Raises JobError when nothing was bought.
    """
    if not len(history):
        raise JobError("no purchase to learn from: a collaborative system needs a history before the as-of date")
    age = day_number(as_of_date) - history.day
    weight = np.exp2(-age / HALF_LIFE_DAYS).astype(np.float32)
    shape = len(history.customer_ids), len(history.article_ids)
    return sparse.csr_matrix((weight, (history.customer, history.article)), shape=shape)


class Bought(NamedTuple):
    """The rows and columns of a matrix by code that hold anything.

    Random numbers drawn for these stay the same whoever and whatever else becomes known.

    Attributes:
        matrix: (customers, articles) float32.
        customers, articles: codes of its rows and columns, ascending.
    """

    matrix: sparse.csr_matrix
    customers: Ints
    articles: Ints


def bought(by_code: sparse.csr_matrix) -> Bought:
    """What a matrix by code holds."""
    customers = np.flatnonzero(np.diff(by_code.indptr)).astype(np.int32)
    articles = np.flatnonzero(np.bincount(by_code.indices)).astype(np.int32)
    return Bought(by_code[customers][:, articles], customers, articles)
