"""What a product picture shows, in figures: its dominant colours, and the garment's outline.

Colours are grouped as in "FOR sequence recommender" (2.1.1): those nearer than a tolerance are one, a limited number of
the most frequent is kept. Distances are Euclidean in CIELAB (CIE 1976), where 2.3 is a difference that one just sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.color import lab2rgb, rgb2lab
from skimage.measure import regionprops

from jobs.embeddings.decode import Opened

#: Change it with what is computed here: rows of another version are computed anew.
VERSION = 1
#: Pictures are looked at with this longest side; a JPEG may be decoded no smaller than this (width, height).
SIDE = 192
AT_LEAST = (128, 192)

#: A studio background is pale: at least this light (of 100) and at most this far from grey.
MIN_LIGHTNESS, MAX_CHROMA = 75.0, 12.0
#: It is even: most of the picture's rim is within this distance of one colour.
MAX_SPREAD = 8.0
#: What is further from the background than its own noise times NOISE is garment, within these bounds.
NOISE, LEAST_CONTRAST, MOST_CONTRAST = 4.0, 1.5, 6.0
#: A background that is more restless hides a garment's outline.
MAX_NOISE = 3.0
#: A hole in the garment is within this distance of the background (or 1.5 times its noise), and so much of the picture.
HOLE, MIN_HOLE = 0.8, 0.002
#: Around strong edges a JPEG rings, within a block of so many pixels of the file, by up to this share of the edge.
BLOCK, RINGING = 16, 0.12
#: A smaller share of the picture is a speck, no garment; and so is a part of less than that share of the largest part.
MIN_GARMENT, MIN_PART = 0.005, 0.05

#: Pixels are counted in cells of this size; the most frequent are tried as centres of a dominant colour.
CELL, CENTRES = 3.0, 256
#: A group of less than this share of the garment is noise, no colour.
MIN_SHARE = 0.01


@dataclass(frozen=True)
class Grouping:
    """How colours are grouped: merged when nearer than `tolerance`; at most `limit` are kept."""

    tolerance: float
    limit: int

    @property
    def name(self) -> str:
        """With the version, what a row of image_features was computed by."""
        return f"v{VERSION}-tolerance{self.tolerance:g}-limit{self.limit}"


def describe(opened: Opened, grouping: Grouping) -> dict[str, object]:
    """Columns of gold/image_features that one picture determines; those of the shape only where there is one."""
    image, _, (width, height) = opened
    found: dict[str, object] = {"image_width": width, "image_height": height, "image_aspect": width / height}
    image = image.copy()
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    lab = rgb2lab(np.asarray(image, dtype=np.float32) / 255)
    background = background_of(lab)
    garment = silhouette(lab, background, max(width, height) / max(image.size)) if background is not None else None
    found["has_silhouette"] = garment is not None
    pixels = lab.reshape(-1, 3) if garment is None else lab[_without_rim(garment)]
    colours = dominant_colours(pixels, grouping)
    found["colours"] = [{"hex": to_hex(colour), "share": share} for colour, share in colours]
    found["dominant_colour"], found["dominant_share"] = found["colours"][0].values()  # type: ignore[index]
    if garment is not None and background is not None:
        found["background_colour"] = to_hex(np.median(background.reshape(-1, 3), axis=0))
        found |= shape(garment)
    return found


# ---- garment and background


def background_of(lab: np.ndarray) -> np.ndarray | None:
    """The colour that the background has, or would have, at each pixel of lab [h, w, 3]; None where none is plain.

    Light falls off over a studio's ground, so it is a plane through the colours of the picture's rim.
    """
    h, w, _ = lab.shape
    y, x = np.mgrid[0:h, 0:w]
    width = max(1, round(0.02 * max(h, w)))
    on_rim = (np.minimum(y, h - 1 - y) < width) | (np.minimum(x, w - 1 - x) < width)
    rim = lab[on_rim]
    pale = (rim[:, 0] >= MIN_LIGHTNESS) & (np.hypot(rim[:, 1], rim[:, 2]) <= MAX_CHROMA)
    if pale.mean() < 0.5:
        return None
    even = pale & (np.linalg.norm(rim - np.median(rim[pale], axis=0), axis=1) <= MAX_SPREAD)
    if even.mean() < 0.5:
        return None
    places = np.stack([np.ones((h, w)), y / h, x / w], axis=-1)
    plane, *_ = np.linalg.lstsq(places[on_rim][even], rim[even].astype(float), rcond=None)
    return (places @ plane).astype(np.float32)


def silhouette(lab: np.ndarray, background: np.ndarray, scale: float = 1.0) -> np.ndarray | None:
    """The garment's pixels [h, w]: all but the background that reaches the border. None where nothing stands out.

    What the garment encloses belongs to it, unless it has just the background's colour: that is a hole. `scale` is how
    many pixels of the file make one of these.
    """
    distance = np.linalg.norm(lab - background, axis=2)
    noise = np.median(np.concatenate([distance[0], distance[-1], distance[:, 0], distance[:, -1]]))
    if noise > MAX_NOISE:
        return None
    contrast = float(np.clip(NOISE * noise, LEAST_CONTRAST, MOST_CONTRAST))
    differs = np.pad(distance > contrast, 2)  # the frame joins all background that reaches the border
    differs = ndimage.binary_closing(differs, np.ones((3, 3)))  # an outline of a white garment has gaps
    regions, count = ndimage.label(~differs)
    regions = regions[2:-2, 2:-2]
    background_regions = np.zeros(count + 1, dtype=bool)
    background_regions[1] = True  # the frame's
    if count > 1:
        enclosed = np.arange(2, count + 1)
        colour = ndimage.median(distance, regions, enclosed)
        size = ndimage.sum_labels(distance >= 0, regions, enclosed)
        background_regions[2:] = (colour <= max(HOLE, 1.5 * noise)) & (size >= MIN_HOLE * distance.size)
    return _parts(_without_ringing(~background_regions[regions], distance, math.ceil(BLOCK / scale)))


def _without_ringing(garment: np.ndarray, distance: np.ndarray, reach: int) -> np.ndarray:
    """The garment less what is within reach of the background and weak beside the strongest edge in reach."""
    weak = distance < RINGING * ndimage.maximum_filter(distance, 2 * reach + 1)
    return ~ndimage.binary_dilation(~garment, mask=weak, iterations=reach, border_value=1)


def _parts(garment: np.ndarray) -> np.ndarray | None:
    """The garment less specks; None if nothing else is left."""
    parts, count = ndimage.label(garment)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    if not count or sizes.max() < MIN_GARMENT * garment.size:
        return None
    return np.concatenate([[False], sizes >= MIN_PART * sizes.max()])[parts]


def _without_rim(garment: np.ndarray) -> np.ndarray:
    """The garment less its outermost pixels, where its colour is mixed with the background's, unless it is thin."""
    inner = ndimage.binary_erosion(garment, np.ones((3, 3)))
    return inner if inner.sum() > garment.sum() / 4 else garment


def shape(garment: np.ndarray) -> dict[str, object]:
    """The descriptors of an outline [h, w] that are columns of gold/image_features."""
    (region,) = regionprops(garment.astype(np.uint8))
    top, left, bottom, right = region.bbox
    return {
        "garment_share": float(garment.mean()),
        "garment_aspect": (right - left) / (bottom - top),
        "garment_fill": float(region.extent),
        "garment_solidity": float(region.solidity),
        "hu_moments": decades(region.moments_hu).tolist(),
    }


def decades(moments: np.ndarray) -> np.ndarray:
    """Hu moments, whose sizes span ten orders of magnitude, as sign(h) log10(1 + |h| 10^10): 0 where they vanish."""
    return np.sign(moments) * np.log10(1 + np.abs(moments) * 1e10)


# ---- colours


def dominant_colours(pixels: np.ndarray, grouping: Grouping) -> list[tuple[np.ndarray, float]]:
    """Dominant colours of lab pixels [n, 3], the most frequent first: mean colour and share of the pixels.

    Each is the group of all pixels left within the tolerance of one of the frequent colours; of these, the one with
    the largest group. At least one is found; groups of less than MIN_SHARE are not.
    """
    cells = np.floor(pixels / CELL).astype(np.int64) + 128  # no coordinate is below -128
    codes = (cells[:, 0] << 16) + (cells[:, 1] << 8) + cells[:, 2]
    _, cell, left = np.unique(codes, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(cell, channel) / left for channel in pixels.T], axis=1)
    centres = np.argsort(-left, kind="stable")[:CENTRES]
    near = cdist(means[centres], means) <= grouping.tolerance
    found: list[tuple[np.ndarray, float]] = []
    for _ in range(grouping.limit):
        sizes = near @ left
        group = near[sizes.argmax()] * left
        if found and group.sum() < max(1, MIN_SHARE * len(pixels)):
            break
        found.append((group @ means / group.sum(), float(group.sum() / len(pixels))))
        left = left - group
    return sorted(found, key=lambda colour: -colour[1])


def to_hex(lab: np.ndarray) -> str:
    """A colour [3] of CIELAB as #rrggbb; the nearest, where a mean lies outside of sRGB."""
    red, green, blue = np.rint(lab2rgb(lab.astype(float)) * 255).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def from_hex(colours: list[str]) -> np.ndarray:
    """#rrggbb as CIELAB [n, 3]."""
    values = np.array([int(colour[1:], 16) for colour in colours], dtype=np.int64)
    return rgb2lab(np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1).reshape(-1, 3) / 255)
