"""Similar articles as a recommender: the likeness of tests/jobs/retrieval/test_similar_images.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.similar_articles import SimilarArticles, fit
from tests.jobs.retrieval.small import found_by, purchases
from tests.jobs.retrieval.test_similar_images import AS_OF, IMAGES, ROWS

HISTORY = purchases(ROWS, customers=5, articles=6)


def fitted() -> SimilarArticles:
    return fit(TrainingContext(HISTORY, AS_OF, IMAGES, 1, 0, Path()))


@pytest.mark.parametrize("count", [1, 2, 40])
def test_cosine_times_recency(count: int) -> None:
    found = found_by(fitted().at(HISTORY, AS_OF, count), 0, 2, 3)
    assert found == [pytest.approx(dict([(1, 0.4), (2, 0.0), (4, -0.3)][:count])), {}, {}]


def test_articles_that_came_or_went_since_have_no_picks_and_move_no_other() -> None:
    """A new id shifts the codes; article 1 is in no table any more, and nor are its purchases."""
    left = HISTORY.where(HISTORY.article != 1)
    ids = pa.array(["a", "a00", *HISTORY.article_ids.to_pylist()[2:]])
    code = np.array([1, -1, 2, 3, 4, 5], dtype=np.int32)
    later = replace(left, article=code[left.article], article_ids=ids)
    assert found_by(fitted().at(later, AS_OF, 5), 0) == [pytest.approx({2: 0.0, 4: -0.3})]
