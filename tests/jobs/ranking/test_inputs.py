"""The list of inputs: what snapshots and pairs yield, and what docs/reference/model_inputs.md explains."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from jobs.platform.settings import WEEK
from jobs.ranking.candidate_retrieval import Retrieval
from jobs.ranking.fit import fit_entities
from jobs.ranking.inputs import ARTICLE_NUMERIC, CUSTOMER_NUMERIC, INPUTS
from jobs.ranking.training_set import purchase_pairs
from jobs.retrieval.candidates import MODULES
from jobs.retrieval.windows import Windows
from tests.jobs.ranking.conftest import AS_OF, ENCODER, everyones, made_up_towers, make_purchases, make_snapshot

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "model_inputs.md"


def test_the_page_explains_every_input_and_no_other() -> None:
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    explained = {
        section.split()[0].lower(): {
            name
            for row in section.splitlines()
            if row.startswith("| `")
            for pattern in re.findall(r"`([\w<>]+)`", row.split("|")[1])
            for name in ({pattern.replace("<source>", module.SOURCE) for module in MODULES})
        }
        for section in sections
    }
    assert explained == {kind: set(names) for kind, names in INPUTS.items()}


def test_snapshots_and_pairs_yield_the_declared_inputs_in_order() -> None:
    snapshot = make_snapshot(make_purchases())
    assert tuple(snapshot.customers.numeric) == CUSTOMER_NUMERIC
    assert tuple(snapshot.articles.numeric) == ARTICLE_NUMERIC
    _, pairs = everyones(small_retrieval())
    assert tuple(pairs) == INPUTS["pair"]


def test_no_declared_input_is_empty() -> None:
    """Every number is known of somebody: a name that nothing fills would go unnoticed otherwise."""
    known: dict[str, set[str]] = {"customer": set(), "article": set(), "pair": set()}
    names: dict[str, set[str]] = {}
    for units_per_article in (99.0, 0.0):  # some sources have a place in a sparse shop alone, and some elsewhere
        retrieval = small_retrieval(Windows(7, 28, 56, 14, units_per_article))
        snapshot, (_, pairs) = retrieval.snapshot, everyones(retrieval)
        kinds = {"customer": snapshot.customers.numeric, "article": snapshot.articles.numeric, "pair": pairs}
        for kind, columns in kinds.items():
            names[kind] = set(columns)
            known[kind] |= {name for name, values in columns.items() if np.isfinite(values).any()}
            assert not any(np.isinf(values).any() for values in columns.values()), kind
    assert known == names


def small_retrieval(windows: Windows | None = None) -> Retrieval:
    shop = make_purchases()
    week = purchase_pairs(make_snapshot(shop), shop.between(AS_OF, AS_OF + WEEK), np.random.default_rng(0))
    inputs, snapshot = fit_entities([week], ENCODER), make_snapshot(shop)
    if windows:
        vars(snapshot)["windows"] = windows
    return Retrieval(inputs, made_up_towers(inputs), {}, snapshot)
