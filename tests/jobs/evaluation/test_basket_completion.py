"""Whether lists find the rest of next week's baskets, on baskets small enough to reckon with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable

from expectations.articles import ARTICLES
from expectations.evaluation import BASKET_METRICS
from jobs.baskets.baskets import NO_ITEM, baskets_of
from jobs.evaluation import basket_completion, docs_section
from jobs.evaluation.basket_completion import K, asked, hits, narrowed
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import codes, on

AS_OF = 100
#: Articles 0 and 1 are variants of a product; 4 has none.
PRODUCTS = ("p0", "p0", "p1", "p2", None)


def test_hits_by_hand() -> None:
    """Customer 0 bought 0, 1 and 2 on one day, 2 and 3 on another; customer 1 bought 4 alone."""
    lines = codes(0, 0, 0, 0, 0, 1), codes(1, 1, 1, 2, 2, 1), codes(0, 1, 2, 2, 3, 4)
    baskets = baskets_of(*lines, 5, 100)
    product = codes(0, 0, 1, 2, NO_ITEM)
    found = np.full((5, K), NO_ARTICLE, dtype=np.int32)
    found[0, :2], found[3, 4] = (4, 1), 2  # 0 leads to its variant, 3 to 2
    every = asked(baskets, product, True)
    assert hits(found, every) == pytest.approx([1 / 3, 1 / 2]) and every.customer.tolist() == [0, 0]
    others = asked(baskets, product, False)  # 0 is asked about 2 alone, and 2 about 0 and 1
    assert hits(found, others) == pytest.approx([0, 1 / 2])


def test_lists_are_narrowed() -> None:
    found = codes(1, 0, 2, NO_ARTICLE)[None].repeat(3, axis=0)
    product = codes(0, 0, 1)
    assert [[a for a in row if a >= 0] for row in narrowed(found, product, True)] == [[1, 2], [0, 2], [1, 0]]
    assert [[a for a in row if a >= 0] for row in narrowed(found, product, False)] == [[2], [2], [1, 0]]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For weeks customers buy 0 with 2 and 1 with 3; the last four weeks' baskets are alike, but for one of 4 and 0."""
    root = tmp_path_factory.mktemp("warehouse")
    pairs = [(0, 2), (1, 3)]
    lines = [(day, day % 9, a) for day in range(20, AS_OF) for a in pairs[day % 2]]
    lines += [(day, 10, 4) for day in range(40, AS_OF, 7)] + [(AS_OF - 3, 11, 4), (AS_OF - 3, 11, 0)]
    put_purchases(root, lines, customers=12, articles=5)
    rows = [{"article_id": f"a{i:02d}", "article_key": i, "product_code": PRODUCTS[i]} for i in range(5)]
    put(root, ARTICLES, rows, accept_drift=True)
    return root


def run(warehouse: Path, **values: object) -> str:
    settings = Settings(**{"as_of_date": on(AS_OF), "warehouse": str(warehouse), "min_support": 2} | values)
    job = Job("evaluation.basket_completion", settings, basket_completion.READS, basket_completion.WRITES)
    return basket_completion.main(job)


def figures(warehouse: Path) -> dict[tuple[str, str, str, str], float]:
    rows = DeltaTable(str(warehouse / BASKET_METRICS.path)).to_pyarrow_table().to_pylist()
    return {(row["fold"], row["system"], row["slice"], row["metric"]): row["value"] for row in rows}


def test_the_rules_find_the_rest(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_section, "DOCS", tmp_path)
    (tmp_path / "results").mkdir()
    page = tmp_path / "results" / "baskets.md"
    page.write_text("<!-- basket completion: begin -->\n<!-- basket completion: end -->\n")
    assert "bought_together 0.9655" in run(warehouse, write_docs=True)
    found = figures(warehouse)
    # 28 baskets of a pair that the rules know, and one of two articles that were never together.
    assert found["pooled", "bought_together", "any_article", "baskets"] == 29
    assert found["pooled", "bought_together", "any_article", "hit_rate"] == pytest.approx(28 / 29)
    assert found["pooled", "popularity_7d", "any_article", "hit_rate"] == 1  # five articles: all are best sellers
    assert found["pooled", "bought_together", "any_article", "hit_rate_minus_popularity_7d"] == pytest.approx(-1 / 29)
    assert len({fold for fold, *_ in found}) == 5
    assert "| popularity_7d | 1.0000 (1.0000 to 1.0000) | -0.0345" in page.read_text()


def test_rules_know_nothing_of_the_week_that_they_are_asked_about(warehouse: Path, tmp_path: Path) -> None:
    """The baskets of 4 and 0 of the last week are hits in no week, however many there are."""
    before = [(day, day % 9, a) for day in range(20, AS_OF - 7) for a in ((0, 2), (1, 3))[day % 2]]
    last = [(AS_OF - 2, c, a) for c in range(9) for a in (4, 0)]
    put_purchases(tmp_path, [*before, (30, 9, 4), *last], customers=12, articles=5)
    run(tmp_path)
    found = figures(tmp_path)
    for system in ("article_rules", "co_occurrence"):
        assert found[str(on(AS_OF - 7)), system, "any_article", "hit_rate"] == 0
    assert found[str(on(AS_OF - 14)), "article_rules", "any_article", "hit_rate"] == 1


def test_nothing_to_judge_is_said(tmp_path: Path) -> None:
    put_purchases(tmp_path, [(day, day % 3, day % 5) for day in range(60, AS_OF)], customers=3, articles=5)
    with pytest.raises(JobError, match="no basket of two articles in the 4 weeks before"):
        run(tmp_path)
