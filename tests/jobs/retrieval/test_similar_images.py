"""Likeness of images that are points of a plane."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.similar_images import SimilarImages
from jobs.retrieval.source import Floats
from tests.jobs.retrieval.small import found_by, on, purchases

AS_OF = on(200)
# Customer 0 bought 0 ninety days ago; customer 1 bought 0 then too, and 2 a hundred and eighty days ago; customer 2
# bought 3, which has no image; customer 3 nothing. Customer 4 sees to it that 1, 3, 4 and 2 still sell, 5 and 0 do not.
ROWS = [
    (110, 0, 0),
    (110, 1, 0),
    (20, 1, 2),
    (150, 2, 3),
    (190, 4, 1),
    (190, 4, 3),
    (190, 4, 4),
    (190, 4, 2),
    (171, 4, 5),
]
IMAGES = np.array([[1, 0], [0.8, 0.6], [0, 2], [0, 0], [-3, 4], [1, 0]], dtype=np.float32)


def source(images: Floats) -> SimilarImages:
    history = purchases([*ROWS, (200, 4, 0)], customers=5, articles=6)
    return SimilarImages(RecentPurchases(history.before(AS_OF)), history, AS_OF, images)


def test_cosine_times_recency() -> None:
    # From (1, 0) the cosines are 0.8 to article 1, 0 to 2 and -0.6 to 4; after ninety days they count half.
    (found,) = found_by(source(IMAGES), 0)
    assert list(found) == [1, 2, 4]
    assert found == pytest.approx({1: 0.4, 2: 0.0, 4: -0.3})


def test_the_best_of_several_purchases_counts() -> None:
    # From (0, 2) they are 0.6 to article 1 and 0.8 to 4, and count a quarter; an article is not like itself, so 2 is
    # found by its likeness to 0 only.
    assert found_by(source(IMAGES), 1) == [pytest.approx({1: 0.4, 4: 0.2, 2: 0.0})]


def test_nothing_without_history_or_image() -> None:
    assert found_by(source(IMAGES), 2, 3) == [{}, {}]
    assert found_by(source(np.zeros((6, 0), dtype=np.float32)), 0, 1) == [{}, {}]
    assert found_by(source(np.zeros((6, 2), dtype=np.float32)), 0, 1) == [{}, {}]
