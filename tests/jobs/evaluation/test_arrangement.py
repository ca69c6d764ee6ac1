"""What arranging lists costs and gains, by hand, and the whole job on a small warehouse."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from expectations.articles import ARTICLES
from expectations.recommendations import CANDIDATES
from jobs.evaluation import arrangement, docs_section
from jobs.evaluation.arrangement import RANKED, Outcome, distance_to_history, outcomes, shown
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.ranking.arrange import Arrangement, Goods
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import codes, on, purchases

#: Articles 0 and 1 are one product, 5 is new; of the first department, and of the other.
GOODS = Goods(codes(0, 0, 1, 2, 3, 4), np.arange(6) == 5, np.zeros((6, 0), dtype=np.float32))
DEPARTMENT = codes(0, 0, 0, 1, 1, 1)
CUSTOMERS, LISTS = codes(0, 1), np.array([[0, 1, 2, 5], [0, 1, 3, NO_ARTICLE]], dtype=np.int32)
#: Customer 0 bought 2 and 3 before, 1 nothing, 3 everything; then 0 buys 1, 1 buys 3 and 4, and 2 without a list 0.
BEFORE = [(0, 0, 2), (1, 0, 3), *((2, 3, a) for a in range(6))]
LABELS = [(20, 0, 1), (20, 1, 3), (21, 1, 4), (21, 2, 0)]


def test_by_hand() -> None:
    history, labels = (purchases(rows, 4, 6) for rows in (BEFORE, LABELS))
    ways = {RANKED: Arrangement(30), "one variant": Arrangement(1)}
    found = outcomes(CUSTOMERS, LISTS, history, labels, GOODS, DEPARTMENT, ways, seed=0)
    ranked, arranged = found[RANKED], found["one variant"]
    assert ranked.minus == (0, 0, 0)
    assert ranked.ap == pytest.approx((1 / 2 + 1 / 3 / 2 + 0) / 3)
    # 0, 2, 5, and 1 since there is no more; 0, 3, 1.
    assert arranged.ap == pytest.approx((1 / 4 + 1 / 2 / 2 + 0) / 3)
    minus, low, high = arranged.minus
    assert minus == pytest.approx(arranged.ap - ranked.ap) and low <= minus <= high and low < high
    shared = Outcome(0, (0, 0, 0), products=(3 + 2) / 2, new=1 / 2, top=1, coverage=5 / 6, distance=1 / 4)
    for one in (ranked, arranged):
        assert one[2:] == pytest.approx(shared[2:]), "the lists are short: both show all of them"


def test_places_decide_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrangement, "HEADLINE_K", 2)
    assert shown(LISTS, GOODS, Arrangement(2), 0).tolist() == [[0, 1], [0, 1]]
    assert shown(LISTS, GOODS, Arrangement(1), 0).tolist() == [[0, 2], [0, 3]]
    assert shown(LISTS, GOODS, Arrangement(2, new_arrivals_share=0.5), 0).tolist() == [[0, 5], [0, 1]]


def test_a_share_is_of_all_lists_however_many_are_arranged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    lists = np.array([rng.permutation(60)[:30] for _ in range(100)], dtype=np.int32)
    lists[:, 0] = 7
    lists[:, 1:][lists[:, 1:] == 7] = 61
    goods = Goods(np.arange(62, dtype=np.int32), np.zeros(62, dtype=bool), np.zeros((62, 0), dtype=np.float32))
    asked = Arrangement(30, max_article_share=0.3)
    together = shown(lists, goods, asked, 0)
    assert np.bincount(together.ravel()).max() <= 30
    monkeypatch.setattr(arrangement, "TOGETHER", 7)
    assert (shown(lists, goods, asked, 0) == together).all()


def test_distance_to_what_a_customer_buys() -> None:
    history = purchases([(0, 0, 0), (1, 0, 1), (2, 0, 3), (3, 0, 3), (0, 1, 0)], 3, 6)
    lists = np.array([[0, 3], [0, 1], [4, 5]], dtype=np.int32)
    # The first has half of each as before, the second all of its own; the third has no history.
    assert distance_to_history(lists, codes(0, 1, 2), history, DEPARTMENT) == 0
    assert distance_to_history(lists[[2, 2, 2]], codes(0, 1, 2), history, DEPARTMENT) == pytest.approx((1 / 2 + 1) / 2)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """The lists as of day 20, those of a week later, and docs/ with the section."""
    put_purchases(tmp_path, [*BEFORE, *LABELS, (27, 0, 0)], customers=4, articles=6)
    catalogue = [
        {"article_id": f"a{i:02d}", "article_key": i, "product_code": str(p), "department_name": str(d)}
        for i, (p, d) in enumerate(zip(GOODS.product, DEPARTMENT, strict=True))
    ]
    put(tmp_path, ARTICLES, catalogue, accept_drift=True)
    for day, lists in ((20, LISTS), (27, LISTS[:, ::-1])):
        rows = [
            {"as_of_date": on(day), "customer_id": f"c{c}", "rank": rank + 1, "article_id": f"a{a:02d}", "score": 1.0}
            | {"source": "popularity", "model_version": "1", "run_id": "r"}
            for c, row in zip(CUSTOMERS, lists, strict=True)
            for rank, a in enumerate(a for a in row if a != NO_ARTICLE)
        ]
        put(tmp_path, CANDIDATES, rows, {"as_of_date": [on(day)]}, accept_drift=True)
    page = tmp_path / "docs" / "results" / arrangement.PAGE
    page.parent.mkdir(parents=True)
    page.write_text("before\n{}\n{}\nafter\n".format(*docs_section.marks(arrangement.SECTION)))
    monkeypatch.setattr(docs_section, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(arrangement, "start_run", lambda *_: nullcontext())
    monkeypatch.setattr(arrangement.mlflow, "log_text", lambda *_: None)
    monkeypatch.setattr(arrangement.mlflow, "log_figure", lambda *_: None)
    settings = Settings(as_of_date=on(27), warehouse=str(tmp_path), write_docs=True, max_variants=1)
    neutral = {"diversity": 0.0, "new_arrivals_share": 0.0, "max_article_share": 1.0}
    settings = settings.model_copy(update=neutral)
    return Job("arrangement", settings, arrangement.READS + arrangement.READS_EARLIER_RUNS, ())


def test_the_job_judges_the_lists_of_a_week_before(job: Job, tmp_path: Path) -> None:
    said = arrangement.main(job)
    assert said.startswith("MAP@12 0.2222 as ranked, -0.0556 with the settings; distinct products 2.5 and 2.5 of 12")
    page = (tmp_path / "docs" / "results" / arrangement.PAGE).read_text()
    assert f"Lists of 2 customers as of {on(20)}, judged on the 3 who bought in the week since." in page
    assert "| as ranked | 0.2222 |  | 2.5 |" in page and "| at most 1 variants | 0.1667 | -0.0556 (" in page
    assert (tmp_path / "docs" / "images" / arrangement.PICTURE).stat().st_size > 1000


def test_without_lists_or_purchases_it_says_so(job: Job) -> None:
    for day, words in ((26, "nothing as of"), (41, "nothing to judge")):
        settings = job.settings.model_copy(update={"as_of_date": on(day)})
        with pytest.raises(JobError, match=words):
            arrangement.main(Job("arrangement", settings, arrangement.READS + arrangement.READS_EARLIER_RUNS, ()))
