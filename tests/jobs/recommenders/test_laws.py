"""The laws of every registered recommender system, on the shop whose tables the two-stage model reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from expectations.contract import Contract
from expectations.events import EVENTS
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.platform.schemas import arrow_type
from jobs.platform.settings import WEEK, Settings
from jobs.recommenders import als_spark, article_vectors
from jobs.recommenders.persistence import load, save
from jobs.recommenders.recommender import Model, TrainingContext
from jobs.recommenders.registry import SYSTEMS, fit_of
from jobs.retrieval.images import image_embeddings
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import TopK
from tests.jobs.ranking.conftest import ARTICLES, AS_OF, CUSTOMERS, ENCODER, EVERYONE, Shop, make_purchases
from tests.jobs.ranking.test_fit import forged_from
from tests.jobs.retrieval.small import codes

each_system = pytest.mark.parametrize("name", SYSTEMS)
Fitted = Callable[[str], Model]
FOLD = AS_OF - WEEK


@dataclass
class ShopJob(Shop):
    """The job that reads the shop's tables."""

    settings: Settings

    def exists(self, contract: Contract) -> bool:
        return True

    def read_arrow(self, contract: Contract, *args: Any, **kwargs: Any) -> pa.Table:
        return self.events(*args, **kwargs) if contract is EVENTS else super().read_arrow(contract, *args, **kwargs)

    def events(self, columns: list[str], where: dict[str, list]) -> pa.Table:
        """On the day of each purchase its customer, signed in or not, looked at the next article, too."""
        p, signed_in = self.purchases, self.purchases.customer % 3 > 0
        rows = pl.DataFrame(
            {
                "event_date": pl.Series(p.day).cast(pl.Date),
                "event_type": ["view", "cart"] * (len(p) // 2),
                "weight": [1.0, 3.0] * (len(p) // 2),
                "customer_id": pl.Series(p.customer_ids.to_pylist())[p.customer].set(pl.Series(~signed_in), None),
                "visitor_id": pl.Series(p.customer).cast(pl.String),
                "article_id": pl.Series(p.article_ids.to_pylist())[(p.article + 1) % (ARTICLES - 2)],
            }
        )
        found = rows.filter(pl.col(name).is_in(values) for name, values in where.items()).select(columns).to_arrow()
        types = {column.name: arrow_type(column) for column in EVENTS.columns}
        return found.cast(pa.schema([(name, types[name]) for name in columns]))

    def partitions(self, contract: object) -> list[dict[str, str]]:
        """Features of every week."""
        return [{"as_of_date": str(AS_OF - j * WEEK)} for j in range(12)]


def fit(name: str, purchases: Purchases, folder: Path) -> Model:
    """The system as of FOLD, on what is known of the shop then."""
    job: Any = ShopJob(purchases, Settings(as_of_date=AS_OF, training_weeks=2, max_epochs=1))
    history, entry = purchases.before(FOLD), SYSTEMS[name]
    features = {
        "none": np.zeros((len(purchases.article_ids), 0), dtype=np.float32),
        "side": np.random.default_rng(0).normal(size=(len(purchases.article_ids), 3)).astype(np.float32),
        "images": image_embeddings(job, purchases.article_ids, ENCODER),
    }[entry.features]
    return fit_of(name, "merged_lines", job)(TrainingContext(history, FOLD, features, 1, 3, folder))


def picks(model: Model, purchases: Purchases, count: int = 7) -> TopK:
    """Everyone's as of a week after the fit."""
    return model.at(purchases.before(AS_OF), AS_OF, count).of(EVERYONE)


def assert_same(found: TopK, other: TopK) -> None:
    np.testing.assert_array_equal(found.articles, other.articles)
    np.testing.assert_allclose(found.scores, other.scores, rtol=1e-5)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Fitted]:
    """Each system, fitted once; Spark's with few iterations, each of which is many tasks."""

    @cache
    def of(name: str) -> Model:
        if name == "als_spark":
            request.getfixturevalue("spark")
        return fit(name, make_purchases(), tmp_path_factory.mktemp(name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(als_spark, "ITERATIONS", 2)
        patch.setattr("jobs.ranking.two_stage.current_encoder", lambda _: ENCODER)
        patch.setattr(article_vectors, "current_encoder", lambda _: ENCODER)
        for space in article_vectors.SPACES:
            patch.setitem(article_vectors._OF, space, article_vectors._images)
        yield of


@each_system
@pytest.mark.parametrize("count", [1, 50])
def test_rows_are_distinct_articles_on_sale_in_falling_order(name: str, count: int, fitted: Fitted) -> None:
    shop = make_purchases()
    articles, scores = picks(fitted(name), shop, count)
    assert articles.shape == scores.shape == (CUSTOMERS, count)
    assert articles.dtype == np.int32 and scores.dtype == np.float32
    np.testing.assert_array_equal(articles == NO_ARTICLE, np.isnan(scores))
    on_sale = shop.before(AS_OF).articles_on_sale()
    for row, score in zip(articles, scores, strict=True):
        found = row[row != NO_ARTICLE]
        assert (row[: len(found)] == found).all(), "gaps are at the right"
        assert on_sale[found].all() and len(set(found.tolist())) == len(found)
        assert (np.diff(score[: len(found)]) <= 0).all()
    assert (articles[: CUSTOMERS - 5, 0] != NO_ARTICLE).all(), "something for everyone with a history"


@each_system
def test_the_same_past_gives_the_same_picks_whatever_comes_later(name: str, fitted: Fitted, tmp_path: Path) -> None:
    """A second fit with the same seed, in a shop whose purchases differ from the date of the fit, or of the picks."""
    shop = make_purchases()
    expected = picks(fitted(name), shop)
    assert_same(picks(fitted(name), forged_from(shop, AS_OF)), expected)
    again = fit(name, forged_from(shop, FOLD), tmp_path)
    assert_same(picks(again, shop) if not SYSTEMS[name].takes_job else as_job_of(again, shop), expected)


def as_job_of(model: Any, shop: Purchases) -> TopK:
    """Picks of a fit that reads tables: here the first shop's."""
    return picks(replace(model, job=replace(model.job, purchases=shop)), shop)


@each_system
def test_a_customers_row_depends_on_nobody_else_in_the_block(name: str, fitted: Fitted) -> None:
    source = fitted(name).at(make_purchases().before(AS_OF), AS_OF, 7)
    together, some = source.of(EVERYONE), codes(59, 5, 0, 5)
    found = source.of(some)
    np.testing.assert_array_equal(found.articles, together.articles[some])
    np.testing.assert_allclose(found.scores, together.scores[some], rtol=1e-4)
    nobody = source.of(codes())
    assert nobody.articles.shape == nobody.scores.shape == (0, 7)


#: Side features are of the catalogue that the fit found, so that the networks that look at them are not saved.
SAVED = [
    name
    for name, entry in SYSTEMS.items()
    if entry.features != "side" and hasattr(import_module(entry.module), "restored")
]


@pytest.mark.parametrize("name", SAVED)
def test_saved_and_loaded_it_picks_alike(name: str, fitted: Fitted, tmp_path: Path) -> None:
    save(name, fitted(name), tmp_path)  # type: ignore[arg-type]
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    assert_same(picks(load(name, tmp_path), make_purchases()), picks(fitted(name), make_purchases()))


def test_similar_articles_needs_images(tmp_path: Path) -> None:
    shop = make_purchases()
    features = np.zeros((len(shop.article_ids), 4), dtype=np.float32)
    with pytest.raises(JobError, match=r"article_embeddings has no image embedding of this encoder"):
        fit_of("similar_articles", "merged_lines")(TrainingContext(shop, AS_OF, features, 1, 3, tmp_path))


def test_the_two_stage_model_needs_features_of_each_week(tmp_path: Path) -> None:
    shop = make_purchases()
    job: Any = ShopJob(shop, Settings(as_of_date=AS_OF, training_weeks=20))
    job.partitions = lambda _: [{"as_of_date": str(FOLD)}]
    known = TrainingContext(shop.before(AS_OF), AS_OF, np.zeros((40, 0), dtype=np.float32), 1, 3, tmp_path)
    with pytest.raises(JobError, match=r"nothing as of 2020-07-08, .*, 2020-09-02; run the weekly DAG"):
        fit_of("two_stage", "merged_lines", job)(known)


def test_articles_without_an_image_of_the_encoder_are_zero() -> None:
    shop: Any = Shop(make_purchases())
    ids = pa.array(["0000000003", "unknown"])
    images = image_embeddings(shop, ids, ENCODER)
    assert images.shape == (2, 4) and images[0].any() and not images[1].any()
    assert image_embeddings(shop, pa.array(["unknown"]), ENCODER).shape == (1, 0)
    assert image_embeddings(shop, ids, None).shape == (2, 0)
