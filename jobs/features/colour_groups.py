"""What a catalogue calls its colours, held against what its pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from skimage.color import deltaE_ciede2000

from jobs.features.image_descriptors import from_hex

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
    "blue": "#22304f #14147a #2030c8 #3c66ad #a3c1dd #2b7fd0",
    "purple": "#663399 #8857a6 #4a2a5c #cdbbe0",
    "pink": "#f3cdd3 #ea8fae #c94a7c #f05fa8",
    "brown": "#5e3b25 #9c6b35 #8b7d72",
    "beige": "#e5d7bf #cdb28c #ab8a60",
}
_NAMES = np.array([name for name, colours in EXAMPLES.items() for _ in colours.split()])
_COLOURS = from_hex(" ".join(EXAMPLES.values()).split())

#: A colour that covers so much of a garment may be the one that it is called by, although another covers more.
MAIN_SHARE = 0.2
#: Fewer articles of a colour group say nothing of what is usual in it.
MIN_GROUP = 10
#: Unusual is further from the group's median than its median distance by so many of their robust standard deviations,
#: and in no case less than another colour (CIEDE2000).
DEVIATIONS, OTHER_COLOUR = 4.0, 15.0


def colour_names(colours: np.ndarray) -> np.ndarray:
    """The name of each colour [n, 3] of CIELAB."""
    distances = np.stack([deltaE_ciede2000(colours, example[None]) for example in _COLOURS], axis=1)
    return _NAMES[distances.argmin(axis=1)]


def medians(colours: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """The median colour [3] of each group of at least MIN_GROUP of the colours [n, 3], in CIELAB."""
    found = {name: colours[groups == name] for name in np.unique(groups[groups != ""])}
    return {name: np.median(members, axis=0) for name, members in found.items() if len(members) >= MIN_GROUP}


def unusual(distances: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Marks the distances [n] that are large for their group; those that are NaN are not."""
    marks = np.zeros(len(distances), dtype=bool)
    is_known = ~np.isnan(distances)
    for name in np.unique(groups[is_known]):
        rows = np.flatnonzero(is_known & (groups == name))
        usual = np.median(distances[rows])
        deviation = 1.4826 * np.median(np.abs(distances[rows] - usual))
        marks[rows] = distances[rows] > max(usual + DEVIATIONS * deviation, OTHER_COLOUR)
    return marks


def with_colour_groups(rows: pa.Table, group_names: Sequence[str | None]) -> pa.Table:
    """Rows of gold/image_features with the columns that compare each with its colour group, given in their order.

    Medians and deviations are robust: wrong colours move neither while they are the minority of a group.
    """
    n = rows.num_rows
    groups = np.array([name or "" for name in group_names], dtype=object)
    colours = rows["colours"].combine_chunks()
    owner = np.repeat(np.arange(n), colours.value_lengths().fill_null(0).to_numpy())
    lab = from_hex(colours.flatten().field("hex").to_pylist())
    is_first = np.diff(owner, prepend=-1) > 0
    is_main = is_first | (colours.flatten().field("share").to_numpy() >= MAIN_SHARE)
    names = np.full(n, None)
    names[owner[is_first]] = colour_names(lab[is_first])
    middle = medians(lab[is_first], groups[owner[is_first]])
    compared = np.flatnonzero(is_main & np.isin(groups[owner], list(middle)))
    distances = np.full(n, np.inf)
    if len(compared):
        centres = np.stack([middle[name] for name in groups[owner[compared]]])
        np.minimum.at(distances, owner[compared], deltaE_ciede2000(lab[compared], centres))
    distances[np.isinf(distances)] = np.nan
    columns = {
        "dominant_colour_name": pa.array(names, pa.string()),
        "colour_group_distance": pa.array(distances, mask=np.isnan(distances)),
        "is_colour_unusual": pa.array(unusual(distances, groups), mask=np.isnan(distances)),
    }
    for name, values in columns.items():
        rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), values)
    return rows
