"""Side features by hand, without the tables that are not there, and without the future."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from expectations.articles import ARTICLES
from expectations.images import IMAGE_FEATURES
from expectations.keywords import ARTICLE_KEYWORDS
from expectations.transactions import TRANSACTIONS
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.recommenders.side_features import OPTIONAL_TABLES, SideFeatures, no_features, side_features, standardised
from jobs.retrieval.purchases import PURCHASE_TABLES, load_purchases
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import on

#: Article -> price paid; 3 is sold from day 9 on, 4 never.
SALES = [(0, 0, 1.0), (1, 0, 3.0), (2, 1, 4.0), (3, 2, 8.0), (9, 3, 100.0), (9, 0, 50.0)]
PICTURES = {
    0: {"colours": [{"hex": "#000000", "share": 0.6}, {"hex": "#ffffff", "share": 0.4}], "garment_fill": 0.2},
    1: {"colours": [{"hex": "#ffffff", "share": 1.0}], "garment_fill": 0.4, "hu_moments": [1.0] * 7},
    3: {"colours": [{"hex": "#ff0000", "share": 1.0}], "garment_fill": 0.9, "hu_moments": [9.0] * 7},
}
WORDS = {0: ["jersey", "soft"], 1: ["jersey"], 2: ["denim"], 3: ["denim", "rare"]}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    put_purchases(tmp_path, [(0, 0, 0)], customers=1, articles=5)
    sell(tmp_path, SALES)
    return tmp_path


def sell(warehouse: Path, sales: list[tuple[int, int, float]]) -> None:
    rows = [
        {
            "t_dat": on(day),
            "customer_id": "c0",
            "customer_key": 0,
            "article_id": f"a{a:02d}",
            "article_key": a,
            "price": p,
        }
        for day, a, p in sales
    ]
    put(warehouse, TRANSACTIONS, rows)


def describe(warehouse: Path, pictures: dict[int, dict] = PICTURES, words: dict[int, list[str]] = WORDS) -> None:
    ok = {"image_status": "ok"}
    put(warehouse, IMAGE_FEATURES, [{"article_id": f"a{a:02d}"} | ok | of for a, of in pictures.items()])
    keywords = [
        {"method": "tfidf", "article_id": f"a{a:02d}", "rank": rank, "keyword": word, "score": 1.0}
        for a, of in words.items()
        for rank, word in enumerate(of, 1)
    ]
    put(warehouse, ARTICLE_KEYWORDS, keywords)


def features(warehouse: Path, day: int = 9) -> SideFeatures:
    settings = Settings(as_of_date=on(day), warehouse=str(warehouse))
    job = Job("test", settings, [*PURCHASE_TABLES, *OPTIONAL_TABLES, ARTICLES], [])
    return side_features(job, load_purchases(job, before=on(day)), on(day))


def test_standardised_by_hand() -> None:
    values = np.array([[1.0, 5], [3, 5], [np.nan, np.nan], [9, 7]])
    sold = np.array([True, True, True, False])
    # Mean 2, deviation 1; what was not sold is no further off than what was; the second column says the same of all.
    assert standardised(values, sold).tolist() == [[-1, 0], [1, 0], [0, 0], [1, 0]]
    assert standardised(values, ~sold).tolist() == [[0, 0]] * 4


def test_without_pictures_and_keywords_there_is_the_price(warehouse: Path) -> None:
    found = features(warehouse)
    assert found.widths == {"colours": 0, "shape": 0, "keywords": 0, "price": 1}
    assert found.in_words == "side features: 1 of price; no colours, no shape, no keywords"
    logs = np.log([2.0, 4.0, 8.0])  # article 0 was paid 1 and 3
    price = (logs - logs.mean()) / logs.std()
    assert found.values[:, 0].tolist() == pytest.approx([*price, 0, 0], abs=1e-6)  # 3 and 4 were not sold before
    assert found.values.dtype == np.float32 and found.values.shape == (5, 1)


def test_pictures_by_hand(warehouse: Path) -> None:
    describe(warehouse)
    found = features(warehouse)
    assert found.widths == {"colours": 12, "shape": 12, "keywords": 3, "price": 1}
    # First colours: black L* 0 and white L* 100 of two sold articles; red, not sold yet, on their scale: L* 53.2.
    assert found.values[:, 0].tolist() == pytest.approx([-1, 1, 0, (53.24 - 50) / 50, 0], abs=1e-3)
    assert found.values[:, 3].tolist() == pytest.approx([-1, 1, 0, 1, 0], abs=1e-5)  # shares 0.6 and 1
    fill = found.values[:, 12 + 3]
    assert fill.tolist() == pytest.approx([-1, 1, 0, 1, 0], abs=1e-5)  # 0.9 is beyond what was sold, 0.2 and 0.4
    assert found.values[4].tolist() == [0] * 28, "nothing is known of it"


def test_keywords_bring_articles_together(warehouse: Path) -> None:
    describe(warehouse)
    keywords = features(warehouse).values[:, 24:27]
    nearest = np.linalg.norm(keywords[:, None] - keywords[None], axis=2)
    assert nearest[3, 2] == pytest.approx(0, abs=1e-5)  # denim; `rare` was on no article sold before
    assert nearest[0, 1] < nearest[0, 2] and nearest[1, 0] < nearest[1, 2]


def test_what_comes_later_moves_nothing_of_what_is_known(warehouse: Path) -> None:
    describe(warehouse)
    before = features(warehouse).values
    sell(warehouse, [*SALES[:4], (9, 0, 7000.0), (9, 4, 3.0), (10, 1, 9.0)])
    forged = {"colours": [{"hex": "#00ff00", "share": 0.1}], "garment_fill": 0.01, "hu_moments": [-50.0] * 7}
    describe(warehouse, PICTURES | {3: forged, 4: forged}, WORDS | {3: ["soft", "new"], 4: ["jersey"]})
    after = features(warehouse).values
    assert np.array_equal(after[:3], before[:3])
    assert not np.array_equal(after[3], before[3])


def test_systems_without_features_get_none(warehouse: Path) -> None:
    job = Job("test", Settings(as_of_date=on(9), warehouse=str(warehouse)), PURCHASE_TABLES, [])
    none = no_features(load_purchases(job, before=on(9)))
    assert none.values.shape == (5, 0) and none.in_words == "side features: none"
