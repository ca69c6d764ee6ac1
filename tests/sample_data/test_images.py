"""Pictures: they decode, and garment, colour and pattern can be told apart in them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from sample_data import vocabulary
from sample_data.catalogue import build
from sample_data.garments import shapes
from sample_data.images import draw, hex_colour, write


def pixels(shape: str, pattern: str, rgb: str, seed: int = 0) -> NDArray[np.float64]:
    return np.asarray(draw(shape, pattern, rgb, np.random.default_rng(seed)), float)


def cloth(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pixels (n, 3) that are not ground: the ground is the grey of the corner."""
    return picture[np.abs(picture - picture[0, 0]).max(-1) > 6]


@pytest.mark.parametrize("rgb", ["1c1c1e", "3c66ad", "cf2331", "f2c230", "1f4a35", "ea8fae"])
@pytest.mark.parametrize("shape", ["trousers", "dress", "bag", "socks"])
def test_dominant_colour_is_the_articles(shape: str, rgb: str) -> None:
    colour = np.median(cloth(pixels(shape, "solid", rgb)), 0)
    assert np.abs(colour - hex_colour(rgb)).max() < 25


def test_every_shape_and_pattern_of_the_vocabulary_draws() -> None:
    used = set(vocabulary.table("product_types")["shape"])
    assert used <= set(shapes())
    assert all(len(cloth(pixels(shape, "solid", "3c66ad"))) > 400 for shape in used)
    solid = pixels("dress", "solid", "3c66ad")
    for pattern in set(vocabulary.table("appearances")["drawing"]) - {"solid"}:
        assert np.abs(pixels("dress", pattern, "3c66ad") - solid).mean() > 1, pattern


def test_shapes_differ_more_than_articles_of_one_shape() -> None:
    def outline(shape: str, seed: int) -> NDArray[np.bool_]:
        picture = pixels(shape, "solid", "1c1c1e", seed)
        return np.abs(picture - picture[0, 0]).max(-1) > 6

    same = np.mean([(outline("trousers", 0) != outline("trousers", seed)).mean() for seed in range(1, 6)])
    other = np.mean([(outline("trousers", 0) != outline("sweater", seed)).mean() for seed in range(1, 6)])
    assert 0 < same < 0.5 * other


def test_files_lie_as_in_the_real_data_and_some_are_missing(tmp_path: Path) -> None:
    shop = build(1_000, np.random.SeedSequence(3))
    written = write(tmp_path, shop, np.arange(1_000), 3, lambda n: None)
    files = sorted(tmp_path.rglob("*.jpg"))
    assert len(files) == written and 985 <= written <= 999
    known = set(shop.frame["article_id"])
    assert all(path.stem in known and path.parent.name == path.stem[:3] for path in files)
    with Image.open(files[0]) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (120, 180))


def test_companions_hang_in_the_same_section() -> None:
    shop = build(2_000, np.random.SeedSequence(3))
    assert (shop.section[shop.companion] == shop.section).all()
    assert pl.Series(shop.companion != np.arange(2_000)).mean() > 0.9
