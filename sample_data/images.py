"""Draws a picture of an article in which garment, colour and pattern can be seen."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sample_data.catalogue import Catalogue
from sample_data.files import atomic
from sample_data.garments import HEIGHT, WIDTH, masks

Pixels = NDArray[np.float32]  # (HEIGHT, WIDTH) or (HEIGHT, WIDTH, 3), float32
MISSING = 0.004  # share of articles without an image
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


def hex_colour(text: str) -> Pixels:
    """RGB (3,) of six hexadecimal digits."""
    return np.array([int(text[i : i + 2], 16) for i in (0, 2, 4)], np.float32)


def blobs(rng: np.random.Generator, count: int, low: float, high: float) -> Pixels:
    """How much of each pixel is covered by random discs: leaves, petals, prints."""
    cover = np.zeros((HEIGHT, WIDTH), np.float32)
    for x, y, r in rng.uniform([0, 0, low], [WIDTH, HEIGHT, high], (count, 3)):
        top, left = max(int(y - r), 0), max(int(x - r), 0)
        window = np.s_[top : int(y + r) + 2, left : int(x + r) + 2]
        cover[window] = np.maximum(cover[window], (X[window] - x) ** 2 + (Y[window] - y) ** 2 < r * r)
    return cover


def drawing(name: str, rng: np.random.Generator) -> Pixels:
    """Where the second colour shows (0..1); negative where the first is darkened."""
    step = rng.uniform(9, 15)
    phase = rng.uniform(0, step)
    if name == "stripes":
        return ((Y + phase) % step < 0.38 * step).astype(np.float32)
    if name == "checks":
        bars = ((X + phase) % step < 0.4 * step) * 0.5 + ((Y + phase) % step < 0.4 * step) * 0.5
        return (bars * 0.8).astype(np.float32)
    if name == "dots":
        row = np.floor((Y + phase) / step)
        x, y = (X + row % 2 * step / 2) % step - step / 2, (Y + phase) % step - step / 2
        return (x * x + y * y < (0.29 * step) ** 2).astype(np.float32)
    if name == "argyle":
        return (np.abs((X - 60) % 26 - 13) / 13 + np.abs((Y + phase) % 38 - 19) / 19 < 0.72).astype(np.float32) * 0.8
    if name == "motifs":
        return blobs(rng, int(rng.integers(70, 120)), 2.5, 6.5) * 0.9
    if name == "flowers":
        return blobs(rng, 14, 3, 5)
    if name == "front":
        size, x, y = rng.uniform(12, 16), 60 + rng.uniform(-3, 3), 82 + rng.uniform(-4, 4)
        kind = rng.integers(3)
        distance = [np.hypot(X - x, Y - y), np.maximum(abs(X - x), abs(Y - y)), abs(X - x) + abs(Y - y)][kind]
        return (distance < size).astype(np.float32) - 0.5 * (distance < size / 2)
    if name == "blocks":
        return (Y - rng.uniform(-8, 8) > 90).astype(np.float32) * 0.9
    if name == "halves":
        return blobs(rng, 110, 2.5, 5) * (Y < 85)
    if name == "melange":
        return (rng.random((HEIGHT, WIDTH)) * 0.42).astype(np.float32)
    if name == "denim":
        faded = 0.22 * np.exp(-(((np.abs(X - 60) - 16) / 9) ** 2)) + 0.06 * rng.normal(size=X.shape)
        return faded - 0.22 * ((X + Y) % 4 < 2)
    if name == "ribs":
        return -0.3 * ((X + phase) % 6 < 2.4)
    if name == "lace":
        return ((np.sin(X * 0.9) + np.sin(Y * 0.9)) > 0.7) * 0.75
    if name == "glitter":
        return (rng.random((HEIGHT, WIDTH)) < 0.12).astype(np.float32)
    if name == "wash":
        return 0.3 + 0.3 * np.sin(X / 17 + phase) * np.cos(Y / 23 + phase)
    if name == "shine":
        return np.clip(np.cos((X + Y * 0.6) / 15 + phase), -0.3, 1) * 0.75
    return np.zeros((HEIGHT, WIDTH), np.float32)


def second_colour(name: str, rgb: Pixels, rng: np.random.Generator) -> Pixels:
    """The colour a pattern is drawn in: white on dark cloth and dark on light, or a bright accent."""
    dark = rgb.mean() < 125
    if name in ("melange", "denim", "glitter", "lace", "shine", "wash"):
        return np.array([246, 246, 248] if dark or name != "melange" else [70, 70, 74], np.float32)
    on_dark, on_light = "f0eee6 ecc458 e27882", "222430 fafaf8 b2343c"
    accent = hex_colour((on_dark if dark else on_light).split()[rng.choice(3, p=[0.6, 0.2, 0.2])])
    return accent if np.abs(accent - rgb).max() > 70 else np.array([34, 36, 48], np.float32)


def draw(shape: str, pattern: str, rgb: str, rng: np.random.Generator) -> Image.Image:
    """One article on a pale ground, 120 x 180 pixels."""
    body, seams = masks(shape, rng)
    base = np.clip(hex_colour(rgb) + rng.uniform(-7, 7, 3), 4, 250).astype(np.float32)
    cover = drawing(pattern, rng)[..., None].astype(np.float32)
    cloth = base * (1 + np.minimum(cover, 0)) + np.maximum(cover, 0) * (second_colour(pattern, base, rng) - base)
    fold = 1 + 0.05 * np.sin(X / 7 + rng.uniform(0, 6)) * (Y / HEIGHT) - 0.07 * np.abs(X / WIDTH - 0.5)
    cloth = cloth * fold[..., None]
    inner = np.minimum.reduce([np.roll(body, step, axis) for step in (-1, 1) for axis in (0, 1)])
    line = np.maximum(body - inner, seams * body)[..., None]
    ink = base * 0.55 if base.mean() > 60 else base + 75
    cloth += line * 0.75 * (ink - cloth)
    ground = np.full(3, rng.uniform(226, 240), np.float32)
    picture = ground + body[..., None] * (cloth - ground)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def write(
    out: Path, catalogue: Catalogue, places: NDArray[np.int64], seed: int, progress: Callable[[int], None]
) -> int:
    """Draw the articles at `places` as `out`/010/0108775015.jpg, ...; 0.4 % stay without.

    An article's picture depends on the seed and its place in the catalogue only. Returns the number of files written.
    """
    articles = catalogue.frame["article_id"].to_list()
    written = 0
    for place in places:
        rng = np.random.default_rng([seed, place])
        progress(1)
        if rng.random() < MISSING:
            continue
        picture = draw(catalogue.shape[place], catalogue.drawing[place], catalogue.rgb[place], rng)
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=88)
        with atomic(out / articles[place][:3] / f"{articles[place]}.jpg") as file:
            file.write(jpeg.getvalue())
        written += 1
    return written
