"""What a catalogue calls its colours, held against what its pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from skimage.color import deltaE_ciede2000

from jobs.features.looks import from_hex

#: Colour name (expectations.images.COLOUR_NAMES) -> examples of it; a colour has the name of the nearest example.
EXAMPLES = {
    "black": "#000000 #1c1c1e",
    "white": "#ffffff #f2f0ee",
    "grey": "#505257 #808080 #b4b6b8 #cfd0d2",
    "red": "#cf2331 #7b1a2a #e2604c",
    "orange": "#ee7d2b #f6b183 #c85a1b",
    "yellow": "#f2c230 #f7e7a1 #d79c1e",
    "green": "#1f4a35 #4c9a5c #b4d5b0 #7a7a52 #98905a #a8cc3a",
    "turquoise": "#2ab0aa #a6e0da #15696c",
    "blue": "#22304f #3c66ad #a3c1dd #2b7fd0",
    "purple": "#8857a6 #4a2a5c #cdbbe0",
    "pink": "#f3cdd3 #ea8fae #c94a7c #f05fa8",
    "brown": "#5e3b25 #9c6b35 #8b7d72",
    "beige": "#e5d7bf #cdb28c #ab8a60",
}
_NAMES = np.array([name for name, colours in EXAMPLES.items() for _ in colours.split()])
_COLOURS = from_hex(" ".join(EXAMPLES.values()).split())

#: Fewer articles of a colour group say nothing of what is usual in it.
MIN_GROUP = 10
#: Unusual is further from the group's median than its median distance by so many of their robust standard deviations,
#: and in no case less than another colour (CIEDE2000).
DEVIATIONS, OTHER_COLOUR = 4.0, 20.0


def colour_names(colours: np.ndarray) -> np.ndarray:
    """The name of each colour [n, 3] of CIELAB."""
    distances = np.stack([deltaE_ciede2000(colours, example[None]) for example in _COLOURS], axis=1)
    return _NAMES[distances.argmin(axis=1)]


def agreement(colours: np.ndarray, groups: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each colour [n, 3] of CIELAB from the median of its group, and whether it is unusual there.

    The distance is NaN for colours of no group, or of one with fewer than MIN_GROUP. Median and deviation are robust:
    wrong colours move neither while they are the minority.
    """
    names = np.array([group or "" for group in groups])
    distances, is_unusual = np.full(len(names), np.nan), np.zeros(len(names), dtype=bool)
    for name in np.unique(names[names != ""]):
        rows = np.flatnonzero(names == name)
        if len(rows) >= MIN_GROUP:
            found = deltaE_ciede2000(colours[rows], np.median(colours[rows], axis=0, keepdims=True))
            usual = np.median(found)
            deviation = 1.4826 * np.median(np.abs(found - usual))
            distances[rows] = found
            is_unusual[rows] = found > max(usual + DEVIATIONS * deviation, OTHER_COLOUR)
    return distances, is_unusual


def with_colour_groups(rows: pa.Table, groups: Sequence[str | None]) -> pa.Table:
    """Rows of gold/image_features with the columns that compare an article's dominant colour with others."""
    seen = np.flatnonzero(rows["dominant_colour"].is_valid().to_numpy())
    colours = from_hex(rows["dominant_colour"].take(seen).to_pylist())
    names, distances = np.full(rows.num_rows, None), np.full(rows.num_rows, np.nan)
    is_unusual = np.zeros(rows.num_rows, dtype=bool)
    if len(seen):
        names[seen] = colour_names(colours)
        distances[seen], is_unusual[seen] = agreement(colours, [groups[i] for i in seen])
    columns = {
        "dominant_colour_name": pa.array(names, pa.string()),
        "colour_group_distance": pa.array(distances, mask=np.isnan(distances)),
        "is_colour_unusual": pa.array(is_unusual, mask=np.isnan(distances)),
    }
    for name, values in columns.items():
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, values)
    return rows
