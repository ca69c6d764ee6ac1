"""What is measured of similar articles, by hand on a dozen rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from expectations.articles import ARTICLES
from expectations.evaluation import SIMILARITY_METRICS
from expectations.similarity import SIMILAR_ARTICLES
from jobs.evaluation.protocol import NEW_ARTICLES, Figure, slices
from jobs.metrics.ranking_metrics import Truth
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.repurchase import RecentPurchases
from jobs.similarity import quality
from jobs.similarity.likeness import LABELS as COMPARED
from jobs.similarity.likeness import likeness
from jobs.similarity.methods import Method
from jobs.similarity.newness import new_article_figures, new_articles, popular_new, similar_new
from jobs.similarity.vectors import Vectors
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import on, purchases

FOLD = 50
EUCLIDEAN = Method("e", "euclidean")

# Articles 0 to 3 are old, 4 to 7 first sold in the 7 days before the fold, 8 in the label week; 9 was never sold.
HISTORY_ROWS = [
    (5, 0, 0), (20, 1, 1), (30, 0, 2), (42, 2, 3),
    (43, 3, 4), (44, 3, 5), (45, 4, 5), (49, 4, 6), (49, 3, 7),
]  # fmt: skip
LABEL_ROWS = [(50, 0, 4), (51, 0, 7), (52, 0, 1), (53, 1, 6), (54, 2, 8), (55, 3, 7), (55, 5, 4)]
ALL = purchases([*HISTORY_ROWS, *LABEL_ROWS], customers=6, articles=10)
HISTORY, LABELS = ALL.before(on(FOLD)), ALL.between(on(FOLD), on(FOLD + 7))
#: Articles on a line; 3 and 5 have no picture.
PLACES = {0: 0.0, 1: 10.0, 2: 4.0, 4: 1.0, 6: 11.0, 7: 30.0, 8: 0.1, 9: 0.2}
VECTORS = Vectors(
    pa.array([f"a{i:02d}" for i in PLACES]), np.array([[x] for x in PLACES.values()], dtype=np.float32), "e-1"
)


def value(figures: list[Figure], system: str, metric: str, k: int) -> Figure:
    (found,) = [f for f in figures if (f.system, f.metric, f.k) == (system, metric, k)]
    return found


# ---- what similar articles share


def test_precision_of_labels_and_its_chance_level() -> None:
    articles = pa.table(
        {
            "article_id": ["x", "a", "b", "c", "d"],
            "product_type_name": ["Coat", "Coat", "Coat", "Robe", None],
            "colour_group_name": ["Red", "Red", "Blue", "Blue", "Blue"],
            "index_group_name": ["Men", "Men", "Women", "Men", "Women"],
            "department_name": [None] * 4 + ["Jersey"],
            "product_code": ["1", "2", "2", "3", "4"],
        }
    )
    picks = pa.table(
        [
            ["a", "a", "b", "b", "c", "x", "a"],
            [2, 1, 1, 2, 1, 1, 3],
            ["c", "b", "a", "d", "b", "a", "d"],
        ],
        names=["article_id", "rank", "similar_article_id"],
    )
    figures = likeness("m", picks, articles, pa.array(["a", "b", "c", "d"]))  # x has no picture
    found = {(f.metric, f.k): f.value for f in figures}
    assert {f.slice for f in figures} == {"articles"}
    assert found == {
        ("articles", 0): 4,
        ("with_picks", 0): 3 / 4,
        # All four are picked, b and d most often: by two of the three with picks.
        ("coverage", 10): 4 / 4,
        ("hubness", 10): pytest.approx(2 / 3),
        # a: b yes; b: a yes; c: b no. d has no type: nothing to compare with, and a miss as a pick.
        ("same_product_type", 1): pytest.approx(2 / 3),
        # Chance: a and b 1 of the 3 others each, c none.
        ("same_product_type_by_chance", 0): pytest.approx((1 / 3 + 1 / 3 + 0) / 3),
        # a: b no; b: a no; c: b yes.
        ("same_colour_group", 1): pytest.approx(1 / 3),
        ("same_colour_group_by_chance", 0): pytest.approx((0 + 2 / 3 + 2 / 3) / 3),
        # a: b no; b: a no; c: b no.
        ("same_index_group", 1): 0,
        ("same_index_group_by_chance", 0): pytest.approx((1 / 3 + 1 / 3 + 1 / 3) / 3),
        ("same_product", 1): pytest.approx(2 / 3),
        ("same_product_by_chance", 0): pytest.approx((1 / 3 + 1 / 3 + 0) / 3),
    }


def test_fewer_picks_than_k_count_as_what_there_is() -> None:
    n = 8
    ids = [f"a{i}" for i in range(n)]
    articles = pa.table(
        {"article_id": ids, **dict.fromkeys(COMPARED.values(), ids), "product_type_name": ["Coat"] * 4 + ["Robe"] * 4}
    )
    others = [[j for j in range(n) if j != 0][:6], [0, 7]]  # article 0: 1..6; article 1: 0 and 7
    rows = [(f"a{i}", rank, f"a{j}") for i, near in enumerate(others) for rank, j in enumerate(near, 1)]
    picks = pa.table([list(column) for column in zip(*rows, strict=True)], ["article_id", "rank", "similar_article_id"])
    figures = likeness("m", picks, articles, pa.array(ids))
    assert value(figures, "m", "same_product_type", 6).value == pytest.approx((3 / 6 + 1 / 2) / 2)
    assert value(figures, "m", "same_product_type", 1).value == 1
    assert value(figures, "m", "with_picks", 0).value == 2 / 8
    assert not [f for f in figures if f.k == 10 and f.metric not in ("coverage", "hubness")]


# ---- new articles


def test_an_article_is_new_for_seven_days() -> None:
    new = new_articles(HISTORY, on(FOLD))
    assert np.flatnonzero(new).tolist() == [4, 5, 6, 7]
    truth = Truth.of(LABELS)
    assert (slices(truth, HISTORY, on(FOLD))[NEW_ARTICLES] == new[truth.article]).all()
    assert popular_new(HISTORY, new, on(FOLD)).tolist() == [5, 4, 6, 7]


def test_candidates_are_the_new_articles_nearest_to_a_recent_purchase() -> None:
    recent = RecentPurchases(HISTORY).of(np.arange(6, dtype=np.int32), 10)
    new = new_articles(HISTORY, on(FOLD))
    lists = similar_new(recent, new, HISTORY.article_ids, VECTORS, EUCLIDEAN)
    assert lists.shape == (6, 12) and (lists[:, 3:] == NO_ARTICLE).all()
    assert lists[:, :3].tolist() == [
        [4, 6, 7],  # bought 2 (at 4) and 0 (at 0): 4 is 1 away, 6 7, 7 26
        [6, 4, 7],  # bought 1 (at 10)
        [-1, -1, -1],  # bought 3, which has no picture
        [6, 4, 7],  # bought 7, 5 and 4: nothing is like itself; 6 is 10 from 4, which is 29 from 7
        [4, 7, -1],  # bought 6 and 5
        [-1, -1, -1],  # no history
    ]
    near = similar_new(recent, new, HISTORY.article_ids, VECTORS, Method("e", "euclidean", within=0.1))
    assert near[:2, :2].tolist() == [[4, -1], [6, -1]]


def test_recall_of_new_articles() -> None:
    figures = new_article_figures({"m": [(EUCLIDEAN, VECTORS)]}, HISTORY, LABELS, on(FOLD), seed=1)
    # Buyers of new articles: 0 (4 and 7: both found), 1 (6: found), 3 (7: found), 5 (4: no list).
    mine = value(figures, "m", "recall", 12)
    assert mine.value == pytest.approx(3 / 4)
    assert mine.ci_low is not None and mine.ci_low < 3 / 4 <= mine.ci_high <= 1
    assert value(figures, "popular_new", "recall", 12).value == 1  # four new articles fit into twelve places
    assert value(figures, "m", "recall_minus_popular_new", 12).value == pytest.approx(-1 / 4)
    assert value(figures, "m", "with_picks", 0).value == pytest.approx(3 / 4)
    assert value(figures, "random_new", "recall", 12).value == 1
    assert [value(figures, "random_new", name, 0).value for name in ("new_articles", "buyers")] == [4, 4]
    assert {f.slice for f in figures} == {NEW_ARTICLES}


def test_of_many_new_articles_twelve_are_found_by_chance() -> None:
    rows = [(1, 0, 0), *((48, 1, article) for article in range(1, 31)), (50, 0, 30), (50, 1, 2)]
    everything = purchases(rows, customers=2, articles=31)
    history, labels = everything.before(on(FOLD)), everything.between(on(FOLD), on(FOLD + 7))
    line = Vectors(history.article_ids, -np.arange(31, dtype=np.float32)[:, None], "e")
    figures = new_article_figures({"m": [(EUCLIDEAN, line)]}, history, labels, on(FOLD), seed=1)
    assert value(figures, "random_new", "recall", 12).value == pytest.approx(12 / 30)
    # Customer 0 bought 0: 1 to 12 are nearest, not 30. Customer 1 bought the smallest code last, and sees 2 beside it.
    assert value(figures, "m", "recall", 12).value == pytest.approx(1 / 2)
    assert value(figures, "popular_new", "recall", 12).value == pytest.approx(1 / 2)  # 1 to 12


def test_a_week_without_new_articles_has_no_figures() -> None:
    labels = purchases([(50, 0, 1), (51, 1, 8)], customers=6, articles=10)
    assert new_article_figures({"m": [(EUCLIDEAN, VECTORS)]}, HISTORY, labels, on(FOLD), seed=1) == []


def test_a_history_that_knows_the_label_week_is_refused() -> None:
    with pytest.raises(ValueError, match="reach across the borders of the label week"):
        new_article_figures({"m": [(EUCLIDEAN, VECTORS)]}, ALL, LABELS, on(FOLD), seed=1)


def test_the_label_week_plays_no_part_in_the_lists() -> None:
    """Whatever is bought from the fold on: the buyers' lists stay as they were."""
    changed = purchases(
        [*HISTORY_ROWS, *((day, c, (a + 3) % 10) for day, c, a in LABEL_ROWS), (56, 1, 9), (60, 0, 9)], 6, 10
    )
    buyers = Truth.of(LABELS).customers

    def lists(everything: Purchases) -> list[list[int]]:
        history = everything.before(on(FOLD))
        new = new_articles(history, on(FOLD))
        recent = RecentPurchases(history).of(buyers, 10)
        return [
            *similar_new(recent, new, history.article_ids, VECTORS, EUCLIDEAN).tolist(),
            popular_new(history, new, on(FOLD)).tolist(),
        ]

    assert lists(changed) == lists(ALL)


# ---- the job


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One MLflow store for all runs: making one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")
        yield


def run(warehouse: Path) -> str:
    settings = Settings(as_of_date=on(FOLD + 7), warehouse=str(warehouse), data=warehouse)
    return quality.main(Job("similarity.quality", settings, quality.READS, quality.WRITES))


def metrics(warehouse: Path) -> list[dict]:
    rows = DeltaTable(str(warehouse / SIMILARITY_METRICS.path)).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: [row[name] for name in ("as_of_date", "system", "slice", "metric", "k")])


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Purchases with some later than the as-of date, and picks of two methods, of which one has vectors."""
    put_purchases(tmp_path, [*HISTORY_ROWS, *LABEL_ROWS, (57, 1, 4), (58, 2, 7)], customers=6, articles=10)
    put(tmp_path, ARTICLES, [{"article_id": f"a{i:02d}", "article_key": i, "product_code": "p"} for i in range(10)])
    for method, encoder in (("cosine_catalogue", "e-1"), ("eigenfaces", "e-0"), ("gone_since", "e-1")):
        row = {"method": method, "article_id": "a00", "rank": 1, "similar_article_id": "a04", "encoder": encoder}
        put(tmp_path, SIMILAR_ARTICLES, [row | {"score": 0.9}], {"method": [method]})
    monkeypatch.setattr(quality, "load_vectors", lambda *_: VECTORS)
    return tmp_path


def test_the_job_measures_what_it_can_and_says_what_it_cannot(warehouse: Path) -> None:
    said = run(warehouse)
    assert "first pick of the same product type: cosine_catalogue 0.000" in said  # no article has a type
    assert "method eigenfaces: its picks are of encoder e-0; run similarity.similar_articles again" in said
    rows = metrics(warehouse)
    assert {row["system"] for row in rows} == {"cosine_catalogue", "popular_new", "random_new"}
    assert {(row["as_of_date"], row["fold"]) for row in rows} == {(on(FOLD + 7), on(FOLD).isoformat())}
    found = {(row["system"], row["metric"], row["k"]): row["value"] for row in rows}
    assert found["cosine_catalogue", "same_product", 1] == 1
    assert found["cosine_catalogue", "with_picks", 0] > 0
    assert found["popular_new", "recall", 12] == 1
    assert (found["random_new", "new_articles", 0], found["random_new", "buyers", 0]) == (4, 4)
    run(warehouse)
    assert metrics(warehouse) == rows


def test_nothing_from_the_as_of_date_on_moves_a_figure(warehouse: Path, tmp_path_factory) -> None:
    run(warehouse)
    other = tmp_path_factory.mktemp("other")
    put_purchases(other, [*HISTORY_ROWS, *LABEL_ROWS, (57, 5, 9), (70, 0, 6)], customers=6, articles=10)
    put(other, ARTICLES, [{"article_id": f"a{i:02d}", "article_key": i, "product_code": "p"} for i in range(10)])
    row = {"method": "cosine_catalogue", "article_id": "a00", "rank": 1, "similar_article_id": "a04", "encoder": "e-1"}
    put(other, SIMILAR_ARTICLES, [row | {"score": 0.9}])
    run(other)
    assert metrics(other) == metrics(warehouse)


def test_nothing_to_measure(tmp_path: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path / "empty") == "no method has picks yet: nothing to measure"

    def never_fitted(*_: object) -> Vectors:
        raise JobError("its encoder was never fitted")

    monkeypatch.setattr(quality, "load_vectors", never_fitted)
    assert run(warehouse).startswith("not measured: its encoder was never fitted; not measured: ")
    assert not (warehouse / SIMILARITY_METRICS.path).exists()
