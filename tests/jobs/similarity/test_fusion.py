"""Ranks that become one list, an index that is not exact, and words put right."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jobs.similarity.approximate import neighbours, recall
from jobs.similarity.fusion import fuse
from jobs.similarity.search import nearest
from jobs.similarity.spelling import Speller, catalogue_words


def test_ranks_are_fused_by_hand() -> None:
    lists = [np.array([[7, 3, 5], [1, -1, -1], [-1, -1, -1]]), np.array([[3, 9], [-1, -1], [-1, -1]])]
    codes, scores = fuse(lists, 4)
    assert codes.tolist() == [[3, 7, 9, 5], [1, -1, -1, -1], [-1, -1, -1, -1]]
    assert scores[0] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])
    assert scores[1, 0] == pytest.approx(1 / 61) and np.isnan(scores[1, 1:]).all() and np.isnan(scores[2]).all()


def test_of_equal_scores_the_smaller_code_is_first_and_k_cuts() -> None:
    assert fuse([np.array([[8]]), np.array([[4]])], 1)[0].tolist() == [[4]]
    assert fuse([np.array([[8]]), np.array([[4]])], 3)[0].tolist() == [[4, 8, -1]]


def test_the_index_finds_nearly_what_an_exact_search_does() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((40, 32))[rng.integers(40, size=3_000)] + rng.standard_normal((3_000, 32))).astype(
        np.float32
    )
    found, scores = neighbours(vectors, 12)
    exact, exact_scores = nearest(vectors, vectors, 12, "cosine", exclude=np.arange(3_000))
    assert recall(found, exact) > 0.95 and recall(exact, exact) == 1
    assert not (found == np.arange(3_000)[:, None]).any() and (np.diff(scores, axis=1) <= 0).all()
    np.testing.assert_allclose(scores[found == exact], exact_scores[found == exact], atol=1e-5)


def test_the_index_of_a_few_has_fewer() -> None:
    found, scores = neighbours(np.eye(3, dtype=np.float32), 5)
    assert [sorted(row) for row in found.tolist()] == [[-1, -1, -1, 1, 2], [-1, -1, -1, 0, 2], [-1, -1, -1, 0, 1]]
    assert np.isnan(scores[:, 2:]).all()


@pytest.mark.parametrize(
    ("asked", "read_as"),
    [
        ("red sumer dres", "red summer dress"),
        ("Denim JAKET!", "Denim jacket!"),
        ("dresses, jackets", "dresses, jackets"),
        ("zebra xyzzyq 2020", "zebra xyzzyq 2020"),
        ("👗 ", "👗 "),
        ("bed", "bed"),
    ],
)
def test_words_are_put_right(asked: str, read_as: str) -> None:
    assert (
        Speller({"red": 9, "summer": 5, "dress": 20, "denim": 3, "jacket": 8, "dressing": 1}).corrected(asked)
        == read_as
    )


def test_only_the_first_words_of_a_question_are_looked_at() -> None:
    asked = "dres " * 21
    assert Speller({"dress": 3}).corrected(asked) == "dress " * 20 + "dres "


def test_the_catalogues_words() -> None:
    rows = {"prod_name": ["Été", "été 3", "ÉTÉ-x", None, "rare"], "detail_desc": [None] * 5}
    columns = ("colour_group_name", "product_type_name", "index_group_name", "department_name")
    table = pa.table({**rows, **dict.fromkeys(columns, [None] * 5)}).cast(
        pa.schema([(name, pa.string()) for name in (*rows, *columns)])
    )
    assert catalogue_words(lambda _, names: table.select(names)) == {"été": 3}
