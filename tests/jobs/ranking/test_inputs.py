"""The list of inputs: what snapshots and pairs yield, and what docs/model_inputs.md explains."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from jobs.ranking.inputs import ARTICLE_NUMERIC, CUSTOMER_NUMERIC, INPUTS, PAIR_NUMERIC
from jobs.ranking.pairs import Tastes, pair_columns
from tests.jobs.ranking.conftest import make_purchases, make_snapshot

PAGE = Path(__file__).resolve().parents[3] / "docs" / "model_inputs.md"


def test_the_page_explains_every_input_and_no_other() -> None:
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    explained = {
        section.split()[0].lower(): {
            name
            for row in section.splitlines()
            if row.startswith("| `")
            for name in re.findall(r"`(\w+)`", row.split("|")[1])
        }
        for section in sections
    }
    assert explained == {kind: set(names) for kind, names in INPUTS.items()}


def test_snapshots_and_pairs_yield_the_declared_inputs_in_order() -> None:
    snapshot = make_snapshot(make_purchases())
    assert tuple(snapshot.customers.numeric) == CUSTOMER_NUMERIC
    assert tuple(snapshot.articles.numeric) == ARTICLE_NUMERIC
    one = np.zeros(1, dtype=np.int32)
    assert tuple(pair_columns(snapshot, Tastes.of(snapshot, one), one, one)) == PAIR_NUMERIC


def test_no_declared_input_is_empty() -> None:
    """Every number is known of somebody: a name that nothing fills would go unnoticed otherwise."""
    snapshot = make_snapshot(make_purchases())
    customers, articles = np.meshgrid(np.arange(55, dtype=np.int32), np.arange(38, dtype=np.int32), indexing="ij")
    pairs = pair_columns(snapshot, Tastes.of(snapshot, customers[:, 0]), customers, articles)
    for name, values in (*snapshot.customers.numeric.items(), *snapshot.articles.numeric.items(), *pairs.items()):
        assert np.isfinite(values).any() and not np.isinf(values).any(), name
