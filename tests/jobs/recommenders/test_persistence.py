"""A system that is a candidate source picks alike before it was kept and after, whatever became of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.platform.setting_types import SystemSource
from jobs.platform.settings import Settings
from jobs.recommenders.persistence import fit_sources, load, save
from jobs.recommenders.recommender import Model, Persistable, rows_and_codes
from jobs.recommenders.registry import SYSTEMS
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import TopK
from tests.jobs.retrieval.small import codes, everyone, on, purchases

NAMES = get_args(SystemSource)
each_source = pytest.mark.parametrize("name", NAMES)
FITTED, ASKED = on(30), on(37)


@cache
def shop() -> Purchases:
    """Random purchases of 9 customers among 8 articles, some after the fit; article 8 sells only then, 9 never."""
    rng = np.random.default_rng(0)
    lines = np.column_stack([rng.integers(0, 37, 150), rng.integers(0, 8, 150), rng.integers(0, 8, 150)])
    return purchases([*map(tuple, lines.tolist()), (33, 2, 8), (34, 8, 8), (35, 8, 1)], 9, 10)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Persistable]:
    """All of them."""
    settings = Settings(as_of_date=ASKED, system_epochs=1)
    return fit_sources(NAMES, shop(), FITTED, settings, tmp_path_factory.mktemp("fit"))


def picks(model: Model, history: Purchases) -> TopK:
    return model.at(history.before(ASKED), ASKED, 6).of(everyone(history))


def assert_same(found: TopK, other: TopK) -> None:
    np.testing.assert_array_equal(found.articles, other.articles)
    np.testing.assert_array_equal(found.scores, other.scores)


@each_source
def test_articles_that_came_or_went_since_move_no_other(
    name: str, fitted: dict[str, Persistable], tmp_path: Path
) -> None:
    """Two new ids shift the codes; a07 is in no table any more, and nor are its purchases."""
    save(name, fitted[name], tmp_path)
    history = shop().where(shop().article != 7)
    ids = history.article_ids.to_pylist()
    later = sorted([*ids[:7], *ids[8:], "a", "a035"])
    code = np.array([later.index(some) if some in later else NO_ARTICLE for some in ids], dtype=np.int32)
    moved = replace(history, article=code[history.article], article_ids=pa.array(later))
    expected, found = picks(fitted[name], history), picks(load(name, tmp_path), moved)
    gone = (expected.articles == 7).any(axis=1)
    for row, other in zip(expected.articles[~gone], found.articles[~gone], strict=True):
        assert other.tolist() == np.append(code, NO_ARTICLE)[row].tolist()
    assert set(found.articles.ravel().tolist()) <= {*code[:9].tolist(), NO_ARTICLE}


@each_source
def test_what_is_bought_on_or_after_the_fits_date_touches_no_fit(
    name: str, fitted: dict[str, Persistable], tmp_path: Path
) -> None:
    settings = Settings(as_of_date=ASKED, system_epochs=1)
    again = fit_sources([name], shop().before(FITTED), FITTED, settings, tmp_path)
    assert_same(picks(again[name], shop()), picks(fitted[name], shop()))
    assert again[name].state().articles.to_pylist() in ([], [f"a0{code}" for code in range(8)])


def test_those_that_can_be_kept_are_offered() -> None:
    offered = {
        name
        for name, entry in SYSTEMS.items()
        if entry.features == "none" and hasattr(import_module(entry.module), "restored")
    }
    assert set(NAMES) == offered


def test_rows_and_codes_of_the_articles_that_are_still_there() -> None:
    rows, found = rows_and_codes(pa.array(["a01", "a03", "gone"]), purchases([], 1, 5))
    assert rows.tolist() == [0, 1] and found.tolist() == codes(1, 3).tolist() and found.dtype == np.int32
