"""From embedded pictures to gold/similar_articles, with drawn garments whose likeness is known."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from expectations.similarity import SIMILAR_ARTICLES
from jobs.embeddings import reduction
from jobs.embeddings.kinds import KINDS
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.slices import record
from jobs.similarity import similar_articles
from jobs.similarity.methods import METHODS, Method
from jobs.similarity.search import nearest
from jobs.similarity.vectors import Vectors
from tests.jobs.embeddings import drawn
from tests.jobs.similarity.conftest import MISSING, SAME, N

METHOD = "cosine_catalogue"
READS = similar_articles.READS + similar_articles.READS_EARLIER_RUNS


def run(data: Path, **values: object) -> str:
    return similar_articles.main(job(data, **values))


def job(data: Path, **values: object) -> Job:
    settings = drawn.settings(data, **{"encoder": "resnet152", "method": METHOD, **values})
    return Job("similarity.similar_articles", settings, READS, similar_articles.WRITES)


def table(data: Path) -> DeltaTable:
    return DeltaTable(str(data / "warehouse" / SIMILAR_ARTICLES.path))


def picks(data: Path, i: int) -> list[tuple[int, str, float]]:
    """Rank, article and score of article i's picks."""
    rows = [row for row in table(data).to_pyarrow_table().to_pylist() if row["article_id"] == drawn.article_id(i)]
    return sorted((row["rank"], row["similar_article_id"], row["score"]) for row in rows)


@pytest.fixture(scope="module")
def first_run(embedded: Path) -> tuple[Path, str]:
    """The catalogue with its similar articles, and what the job said."""
    return embedded, run(embedded)


@pytest.fixture
def data(first_run: tuple[Path, str], tmp_path: Path) -> Path:
    """The first run's folder, restored after a test that changes it."""
    folder = first_run[0]
    shutil.copytree(folder, tmp_path / "kept")
    yield folder
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "kept", folder)


def test_every_article_with_a_picture_has_its_picks(first_run: tuple[Path, str]) -> None:
    data, summary = first_run
    rows = table(data).to_pyarrow_table().to_pylist()
    with_picture = {drawn.article_id(i) for i in range(N)} - {drawn.article_id(MISSING)}
    assert {row["article_id"] for row in rows} == {row["similar_article_id"] for row in rows} == with_picture
    assert not [row for row in rows if row["article_id"] == row["similar_article_id"]]
    for i in set(range(N)) - {MISSING}:
        found = picks(data, i)
        assert [rank for rank, _, _ in found] == list(range(1, METHODS[METHOD].picks + 1))
        scores = [score for _, _, score in found]
        assert scores == sorted(scores, reverse=True) and len({article for _, article, _ in found}) == len(found)
    assert {row["encoder"].rsplit("-", 2)[0] for row in rows} == {KINDS["catalogue"]}
    assert f"{15 * 12} picks for 15 of 15 articles" in summary


def test_what_looks_alike_comes_first(first_run: tuple[Path, str]) -> None:
    data, _ = first_run
    assert picks(data, 0)[0][1:] == (drawn.article_id(SAME), 1.0)  # the same file
    assert picks(data, SAME)[0][1:] == (drawn.article_id(0), 1.0)
    # i and i + 6 share garment and colour.
    for i in (1, 2, 8, 9):
        alike = {drawn.article_id(j) for j in range(i % 6, N, 6) if j not in (i, MISSING, SAME)}
        assert {article for _, article, _ in picks(data, i)[: len(alike)]} == alike, i


def test_rerun_commits_nothing(data: Path) -> None:
    before = table(data).version()
    assert run(data).endswith("up to date")
    assert table(data).version() == before


def test_an_article_that_left_is_nobodys_pick(data: Path) -> None:
    drawn.publish_articles(data, range(1, N))  # the embeddings still have article 0
    assert "for 14 of 14" in run(data)
    rows = table(data).to_pyarrow_table().to_pylist()
    assert drawn.article_id(0) not in {row[column] for row in rows for column in ("article_id", "similar_article_id")}
    assert len(rows) == 14 * 12


def test_a_method_replaces_its_own_rows_only(data: Path) -> None:
    rows = table(data).to_pyarrow_table()
    other = rows.set_column(rows.column_names.index("method"), "method", [["eigenfaces"] * rows.num_rows])
    another = job(data)
    another.publish(SIMILAR_ARTICLES, other, {"method": ["eigenfaces"]})
    record(another, SIMILAR_ARTICLES, similar_articles.VERSION, {"eigenfaces": {"other vectors": 0}})
    assert run(data).endswith("up to date")  # although another method was published since
    drawn.publish_articles(data, range(1, N))
    run(data)
    left = table(data).to_pyarrow_table()["method"].to_pylist()
    assert (left.count("eigenfaces"), left.count(METHOD)) == (15 * 12, 14 * 12)


def test_an_encoder_that_was_never_fitted_is_named(data: Path) -> None:
    with pytest.raises(JobError, match=r"method cosine_resnet50: its encoder resnet50 was never fitted.*embeddings"):
        run(data, method="cosine_resnet50")
    with pytest.raises(JobError, match=rf"has no vector of encoder {KINDS['catalogue']}-.*-3d; run embeddings.images"):
        run(data, embedding_dim=3)


def test_no_images_is_no_error(tmp_path: Path) -> None:
    assert "no images for mapping hm" in run(tmp_path)
    assert not (tmp_path / "warehouse").exists()


def vectors(values: list[list[float]]) -> Vectors:
    ids = [drawn.article_id(i) for i in range(len(values))]
    return Vectors(pa.array(ids), np.array(values, dtype=np.float32), "e")


def test_a_tiny_catalogue_has_fewer_picks() -> None:
    rows = similar_articles.similar("m", Method("e", "cosine"), vectors([[1, 0], [0, 1], [1, 1]])).to_pylist()
    found = [(row["article_id"][-6:-3], row["rank"], row["similar_article_id"][-6:-3]) for row in rows]
    assert found == [
        ("000", 1, "002"), ("000", 2, "001"),
        ("001", 1, "002"), ("001", 2, "000"),
        ("002", 1, "000"), ("002", 2, "001"),
    ]  # fmt: skip
    assert similar_articles.similar("m", Method("e", "cosine"), vectors([[1, 0]])).num_rows == 0


def test_a_threshold_cuts_what_is_far() -> None:
    # Distances of all pairs, each with itself too: 0, 0, 0, 1 and 1, 9 and 9, 10 and 10: root mean square 6.36.
    line = vectors([[0], [1], [10]])
    assert METHODS["eigenfaces"].limit(line.values) == pytest.approx(0.5 * np.sqrt(2 * (1 + 81 + 100) / 9))
    rows = similar_articles.similar("m", Method("e", "euclidean", within=0.5), line).to_pylist()
    assert [(row["article_id"][-6:-3], row["similar_article_id"][-6:-3], row["score"]) for row in rows] == [
        ("000", "001", 1.0),
        ("001", "000", 1.0),
    ]


def test_cosine_is_of_the_features_not_of_their_distances_to_the_mean() -> None:
    features = np.abs(np.random.default_rng(1).standard_normal((40, 12))).astype(np.float32)
    features[:, 6:] = features[:, :6] + 1  # six dimensions hold all variance, and not all of the mean
    pca = reduction.fit(features)
    restored = pca.uncentred(pca.apply(features, 6))
    assert restored.shape == (40, 7)
    np.testing.assert_allclose(restored @ restored.T, features @ features.T, rtol=1e-4)
    expected = nearest(features, features, 5, "cosine")
    found = nearest(restored, restored, 5, "cosine")
    np.testing.assert_array_equal(found[0], expected[0])
    assert (nearest(pca.apply(features, 6), pca.apply(features, 6), 5, "cosine")[0] != expected[0]).any()


def test_the_date_plays_no_part(data: Path) -> None:
    settings = drawn.settings(data, method=METHOD).model_copy(update={"as_of_date": date(2018, 1, 1)})
    job = Job("similarity.similar_articles", settings, READS, similar_articles.WRITES)
    assert similar_articles.main(job).endswith("up to date")
