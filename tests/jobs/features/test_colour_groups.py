"""Names of colours, and colours that do not fit their group's name."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from skimage.color import deltaE_ciede2000

from expectations.images import COLOUR_NAMES
from jobs.features import colour_groups
from jobs.features.colour_groups import MIN_GROUP, colour_names, with_colour_groups
from jobs.features.image_descriptors import from_hex
from jobs.features.image_features import SCHEMA

RED, BLUE = "#c8141e", "#1428be"
Picture = list[tuple[str, float]] | None


def compared(pictures: list[Picture], groups: list[str | None]) -> list[tuple[str | None, float | None, bool | None]]:
    """Name, distance and verdict of articles with these colours."""
    rows = [
        {
            "article_id": str(i),
            "image_status": "ok" if picture else "missing",
            "method": "",
            "colours": [{"hex": colour, "share": share} for colour, share in picture] if picture else None,
        }
        for i, picture in enumerate(pictures)
    ]
    found = with_colour_groups(pa.Table.from_pylist(rows, SCHEMA), groups)
    assert found.schema.equals(SCHEMA)
    names = ("dominant_colour_name", "colour_group_distance", "is_colour_unusual")
    return list(zip(*(found[name].to_pylist() for name in names), strict=True))


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ("#000000", "black"),
        ("#ffffff", "white"),
        ("#8a8b8c", "grey"),
        ("#dd1111", "red"),
        ("#ff8800", "orange"),
        ("#ffee33", "yellow"),
        ("#006400", "green"),
        ("#40e0d0", "turquoise"),
        ("#000080", "blue"),
        ("#87ceeb", "blue"),
        ("#663399", "purple"),
        ("#ff69b4", "pink"),
        ("#8b4513", "brown"),
        ("#f5deb3", "beige"),
    ],
)
def test_names(colour: str, name: str) -> None:
    assert colour_names(from_hex([colour])).tolist() == [name]


def test_every_name_is_in_the_contract() -> None:
    assert tuple(colour_groups.EXAMPLES) == COLOUR_NAMES


def test_a_wrong_colour_is_seen_and_a_missing_picture_does_not_hide_it() -> None:
    shades = [f"#c8{14 + i % 5}1e" for i in range(19)]
    pictures: list[Picture] = [[(shade, 1.0)] for shade in shades]
    found = compared([*pictures, [(BLUE, 1.0)], None], ["Red"] * 21)
    expected = deltaE_ciede2000(*(from_hex([colour]) for colour in (BLUE, "#c8161e")))[0]
    assert found[19] == ("blue", pytest.approx(expected), True)
    assert [row[2] for row in found] == [False] * 19 + [True, None]
    assert found[20] == (None, None, None)


def test_a_large_second_colour_may_be_the_named_one() -> None:
    pictures: list[Picture] = [[(RED, 1.0)] for _ in range(MIN_GROUP)]
    found = compared(
        [*pictures, [(BLUE, 0.7), (RED, 0.25)], [(BLUE, 0.85), (RED, 0.15)], [(BLUE, 0.1), (RED, 0.05)]],
        ["Red"] * (MIN_GROUP + 3),
    )
    assert [row[2] for row in found[-3:]] == [False, True, True]
    assert found[-3][:2] == ("blue", 0)


def test_small_and_nameless_groups_say_nothing() -> None:
    pictures: list[Picture] = [[(RED, 1.0)] for _ in range(MIN_GROUP)]
    for groups in (["Red"] * (MIN_GROUP - 1) + [None], [None] * MIN_GROUP):
        assert {row[1:] for row in compared(pictures, groups)} == {(None, None)}
    assert {row[1:] for row in compared(pictures, ["Red"] * MIN_GROUP)} == {(0, False)}


def test_no_pictures_at_all() -> None:
    assert compared([None, None], ["Red", None]) == [(None, None, None)] * 2
    assert compared([], []) == []


def test_a_group_of_many_colours_has_none_that_is_unusual() -> None:
    hexes = [f"#{n:06x}" for n in np.random.default_rng(0).integers(0, 1 << 24, 60)]
    found = compared([[(colour, 1.0)] for colour in hexes], ["Other"] * 60)
    assert sum(row[2] for row in found) <= 1
