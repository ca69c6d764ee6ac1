"""The map of the catalogue: colours that mean what they show, and a picture of any catalogue."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from jobs.embeddings import picture
from jobs.embeddings.picture import draw_map, named_colour


def test_colours_by_their_names() -> None:
    names = ("Dark Blue", "Light Beige", "Greenish Khaki", "Black", "Off White", "Grey")
    assert all(named_colour(name) for name in names)
    red, green, blue = to_rgb(named_colour("Dark Blue"))
    assert blue > red and blue > green and to_rgb(named_colour("Black")) == (0, 0, 0)
    assert [named_colour(name) for name in ("Garment Upper body", "Shoes", "unknown")] == [None] * 3


@pytest.mark.parametrize("n", [5, 60])
def test_every_point_and_group_is_shown(n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *args, **kw: (figures.append(self), save(self, *args, **kw))
    )
    monkeypatch.setattr(picture, "MAX_POINTS", 40)
    vectors = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    groups = {
        "product group": [f"Group {i % 25}" if i % 9 else None for i in range(n)],
        "colour": [("Red", "Dark Blue", "Other")[i % 3] for i in range(n)],
    }
    draw_map(vectors, groups, tmp_path / "map.png", 1, "resnet50: keeps 95 %")
    (figure,) = figures
    shown = min(n, 40)
    title = figure.get_suptitle()
    assert title.startswith("resnet50: keeps 95 %") and (f"{shown} of {n}" if n > shown else f"of {n} product") in title
    for axes in figure.axes:
        assert sum(len(points.get_offsets()) for points in axes.collections) == shown
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert sum(int(text.rsplit("(", 1)[1][:-1]) for text in legend) == shown
    assert (tmp_path / "map.png").stat().st_size > 10_000


def test_a_long_name_leaves_the_points_room(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="constrained_layout not applied")
        draw_map(vectors, {"colour": ["Of a very long name " * 30] * 4 + ["Red"] * 4}, tmp_path / "map.png", 1, "e")
