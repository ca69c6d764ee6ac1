"""What the two-stage model makes of pictures, texts and the joint space: the parts of the benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.content import BASE, PART, VARIANTS, Content, chance, measure, newest, page
from jobs.evaluation.figures import figures_of
from jobs.evaluation.protocol import LabelWeek
from tests.jobs.retrieval.small import on, purchases

NO_JOB: Any = None


def test_vectors_stand_where_their_articles_are() -> None:
    vectors = Content(pa.array(["a", "c"]), np.array([[1, 2], [3, 4]], np.float32))
    found = vectors(NO_JOB, pa.array(["a", "b", "c", "d"]), "any")
    assert found.tolist() == [[1, 2], [0, 0], [3, 4], [0, 0]]
    nothing = Content(pa.array([], pa.string()), np.zeros((0, 0), np.float32))
    assert nothing(NO_JOB, pa.array(["a"]), None).shape == (1, 0)


def test_a_part_of_the_articles_has_pictures() -> None:
    assert newest(100, 0)[-19:].all() and newest(100, 0).sum() == chance(100, 0).sum() == round(PART * 100)
    assert (chance(100, 0) == chance(100, 0)).all() and (chance(100, 0) != chance(100, 1)).any()


def test_each_variant_stands_beside_nothing() -> None:
    """One buyer of article 1, another of 2; the joint space finds both at once, the others only the first."""
    history = purchases([(0, c, a) for a in range(5) for c in (0, 1)], 2, 5)
    week = LabelWeek(history, purchases([(10, 0, 1), (11, 1, 2)], 2, 5), on(10))
    hit, half = np.array([[1, 0], [2, 0]], np.int32), np.array([[1, 0], [0, 3]], np.int32)
    for variant in VARIANTS:
        for what in ("", "/source", "/candidates"):
            week.add(variant + what, hit if variant == "joint space" else half)
    figures = figures_of([week], 0, measure)[None]
    found = {(f.slice, f.system, f.metric): f.value for f in figures}
    assert (found["all", "joint space", "map"], found["all", BASE, "map"]) == (1, 0.5)
    assert (found["all", "joint space", "map_gain"], found["all", BASE, "map_gain"]) == (0.5, 0)
    text = page(figures, "Facts.")
    assert "all purchases, 2 buyer-weeks" in text and "first sold in the last 7 days" not in text
    assert "| joint space | 1.0000 | +0.5000 (" in text and "| nothing | 0.5000 |  | 0.5000 |  | 0.5000 |" in text
