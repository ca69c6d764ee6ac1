"""Drawn pictures whose colours, shares and shapes are known."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jobs.embeddings.decode import Opened, open_image
from jobs.features import image_descriptors
from jobs.features.image_descriptors import Grouping, describe, dominant_colours, from_hex, to_hex

GROUPING = Grouping(tolerance=12, limit=8)
GROUND, RED, BLUE, WHITE = (236, 236, 234), (200, 20, 30), (20, 40, 190), (255, 255, 255)
RED_HEX, BLUE_HEX = "#c8141e", "#1428be"


def canvas(width: int = 128, height: int = 192, ground: tuple[int, ...] = GROUND) -> tuple[Image.Image, ImageDraw.Draw]:
    picture = Image.new("RGB", (width, height), ground)
    return picture, ImageDraw.Draw(picture)


def opened(picture: Image.Image) -> Opened:
    return Opened(picture, None, picture.size)


def jpeg(picture: Image.Image, **options: object) -> Opened:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **{"quality": 88, **options})
    return open_image(stream.getvalue(), image_descriptors.AT_LEAST)


def near(one: str, other: str, most: float = 2.5) -> bool:
    """True when two hex colours hardly differ (2.3 is just visible)."""
    return bool(np.linalg.norm(np.subtract(*from_hex([one, other]))) <= most)


def test_colours_and_shares_of_two_halves() -> None:
    """60 x 100 pixels, the upper 75 red: less the rim, 58 x 74 red and 58 x 24 blue."""
    picture, pen = canvas()
    pen.rectangle((30, 40, 89, 114), RED)
    pen.rectangle((30, 115, 89, 139), BLUE)
    found = describe(opened(picture), GROUPING)
    assert [(c["hex"], pytest.approx(c["share"])) for c in found["colours"]] == [
        (RED_HEX, 74 / 98),
        (BLUE_HEX, 24 / 98),
    ]
    assert (found["dominant_colour"], found["dominant_share"]) == (RED_HEX, pytest.approx(74 / 98))
    assert found["has_silhouette"] and found["background_colour"] == "#ececea"
    assert found["garment_share"] == pytest.approx(60 * 100 / (128 * 192))
    assert found["garment_aspect"] == pytest.approx(0.6)
    assert found["garment_fill"] == found["garment_solidity"] == 1
    assert (found["image_width"], found["image_height"]) == (128, 192)
    assert found["image_aspect"] == pytest.approx(2 / 3)


def test_outline_of_an_l() -> None:
    """80 x 120 less its upper right 40 x 60: three quarters of the box; the hull adds half of what is missing."""
    picture, pen = canvas()
    pen.rectangle((20, 30, 99, 149), RED)
    pen.rectangle((60, 30, 99, 89), GROUND)
    found = describe(opened(picture), GROUPING)
    assert found["garment_aspect"] == pytest.approx(80 / 120)
    assert found["garment_fill"] == pytest.approx(0.75, abs=0.01)
    assert found["garment_solidity"] == pytest.approx(0.75 / 0.875, abs=0.01)


def test_a_hole_is_background_and_a_white_print_is_not() -> None:
    picture, pen = canvas()
    pen.rectangle((20, 30, 99, 149), RED)
    pen.rectangle((30, 40, 89, 69), GROUND)
    pen.rectangle((30, 90, 89, 119), WHITE)
    found = describe(opened(picture), GROUPING)
    assert found["garment_share"] == pytest.approx((80 * 120 - 60 * 30) / (128 * 192))
    assert [c["hex"] for c in found["colours"]] == [RED_HEX, "#ffffff"]


def drawn_shape(scale: float, angle: int, mirrored: bool = False) -> np.ndarray:
    """Hu moments of an uneven shape."""
    side = 360
    picture, pen = canvas(side, side)
    points = np.array([(-50, -70), (10, -70), (15, -10), (60, 0), (60, 45), (-20, 60)]) * scale
    points[:, 0] *= -1 if mirrored else 1
    turn = np.deg2rad(angle)
    points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    pen.polygon([tuple(p) for p in points + side / 2], BLUE)
    return np.array(describe(opened(picture), GROUPING)["hu_moments"])


def test_hu_moments_are_those_of_the_shape_alone() -> None:
    expected = drawn_shape(1, 0)
    for scale, angle in [(1.6, 0), (0.7, 0), (1, 90), (1, 37), (1.5, 141)]:
        assert drawn_shape(scale, angle)[:4] == pytest.approx(expected[:4], abs=0.15), (scale, angle)
    mirrored = drawn_shape(1, 0, mirrored=True)
    assert mirrored[:6] == pytest.approx(expected[:6], abs=0.1)
    assert mirrored[6] == pytest.approx(-expected[6], abs=0.1) and abs(expected[6]) > 0.1
    picture, pen = canvas(360, 360)
    pen.ellipse((90, 120, 269, 239), BLUE)  # another shape
    assert np.abs(np.array(describe(opened(picture), GROUPING)["hu_moments"]) - expected).max() > 1


def test_first_hu_moment_of_a_square() -> None:
    """(mu20 + mu02) / area² = 2 (1/12): 10^10/6 is 9.22 decades above 10^-10; all others vanish."""
    picture, pen = canvas(192, 192)
    pen.rectangle((46, 46, 145, 145), RED)
    assert describe(opened(picture), GROUPING)["hu_moments"] == pytest.approx([np.log10(1e10 / 6), *[0] * 6], abs=0.01)


def test_colours_nearer_than_the_tolerance_are_one() -> None:
    lab = np.repeat([[50, 0, 0], [50, 8, 0], [50, 40, 0]], [60, 30, 10], axis=0).astype(np.float32)
    (first, share), (second, rest) = dominant_colours(lab, GROUPING)
    assert (first.tolist(), share) == ([50, pytest.approx(8 / 3), 0], 0.9)
    assert (second.tolist(), rest) == ([50, 40, 0], 0.1)
    assert [round(s, 2) for _, s in dominant_colours(lab, Grouping(5, 8))] == [0.6, 0.3, 0.1]
    assert [round(s, 2) for _, s in dominant_colours(lab, Grouping(5, 2))] == [0.6, 0.3]
    assert [round(s, 2) for _, s in dominant_colours(lab, Grouping(100, 8))] == [1.0]


def test_a_group_is_chosen_by_all_that_is_near_not_by_its_most_frequent_shade() -> None:
    """A shaded garment's 25 shades of 3 pixels outweigh 40 pixels of one colour."""
    shades = [[40 + n / 4, 0, 0] for n in range(25) for _ in range(3)]
    lab = np.array(shades + [[80, 0, 0]] * 40, dtype=np.float32)
    (first, share), _ = dominant_colours(lab, GROUPING)
    assert share == pytest.approx(75 / 115) and first[0] == pytest.approx(43)


def test_dust_is_no_colour() -> None:
    lab = np.array([[50, 0, 0]] * 995 + [[90, 0, 0]] * 5, dtype=np.float32)
    assert len(dominant_colours(lab, GROUPING)) == 1


@pytest.mark.parametrize("size", [(120, 180), (1166, 1750)])
def test_jpegs_of_any_size_and_scaled_decoding(size: tuple[int, int]) -> None:
    """Shirt-like: its box is half as wide and 2/3 as high as the picture; the ground darkens towards the bottom."""
    width, height = size
    picture, pen = canvas(width, height)
    pen.rectangle((width // 4, height // 6, width * 3 // 4 - 1, height * 5 // 6 - 1), BLUE)
    fall = np.linspace(0, -9, height)[:, None, None]
    noise = np.random.default_rng(0).normal(0, 2, (height, width, 1))
    pixels = np.clip(np.asarray(picture) + fall + noise, 0, 255).astype(np.uint8)
    found = describe(jpeg(Image.fromarray(pixels)), GROUPING)
    assert (found["image_width"], found["image_height"]) == size
    assert found["garment_share"] == pytest.approx(1 / 3, rel=0.06)
    assert found["garment_aspect"] == pytest.approx(0.5 / (2 / 3) * width / height, rel=0.05)
    assert found["garment_fill"] > 0.93
    assert found["dominant_share"] > 0.97 and near(found["dominant_colour"], "#1024ba", 6)


@pytest.mark.parametrize("ground", [GROUND, (246, 246, 246)])
def test_white_garment_on_white(ground: tuple[int, ...]) -> None:
    picture, pen = canvas(1166, 1750, ground)
    pen.rectangle((300, 400, 865, 1349), WHITE)
    found = describe(jpeg(picture), GROUPING)
    assert found["garment_share"] == pytest.approx(566 * 950 / (1166 * 1750), rel=0.05)
    assert near(found["dominant_colour"], "#ffffff") and found["dominant_share"] > 0.98


def test_nothing_stands_out() -> None:
    found = describe(opened(canvas()[0]), GROUPING)
    assert found["has_silhouette"] is False and "garment_share" not in found and "hu_moments" not in found
    assert found["colours"] == [{"hex": "#ececea", "share": 1.0}]


def test_without_a_plain_background_the_whole_picture_has_the_colours() -> None:
    picture, pen = canvas(ground=BLUE)
    pen.rectangle((0, 0, 127, 47), RED)
    found = describe(opened(picture), GROUPING)
    assert found["has_silhouette"] is False and "background_colour" not in found
    assert [(c["hex"], c["share"]) for c in found["colours"]] == [(BLUE_HEX, 0.75), (RED_HEX, 0.25)]


def test_a_restless_pale_wall_is_no_background() -> None:
    noise = np.random.default_rng(0).normal(0, 9, (192, 128, 3))
    found = describe(opened(Image.fromarray(np.clip(230 + noise, 0, 255).astype(np.uint8))), GROUPING)
    assert found["has_silhouette"] is False and near(found["dominant_colour"], "#e6e6e6", 4)


def test_garment_may_be_cut_by_the_border() -> None:
    picture, pen = canvas()
    pen.rectangle((40, 60, 99, 191), RED)
    found = describe(opened(picture), GROUPING)
    assert found["garment_share"] == pytest.approx(60 * 132 / (128 * 192))
    assert found["colours"] == [{"hex": RED_HEX, "share": 1.0}]


def test_transparent_png_lies_on_white() -> None:
    picture = Image.new("RGBA", (128, 192), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((30, 40, 89, 139), (*RED, 255))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    found = describe(open_image(stream.getvalue(), image_descriptors.AT_LEAST), GROUPING)
    assert (found["background_colour"], found["dominant_colour"], found["dominant_share"]) == ("#ffffff", RED_HEX, 1)
    assert found["garment_share"] == pytest.approx(60 * 100 / (128 * 192))


def test_gray_picture() -> None:
    picture, pen = canvas(ground=(240, 240, 240))
    pen.rectangle((30, 40, 89, 139), (90, 90, 90))
    found = describe(jpeg(picture.convert("L")), GROUPING)
    assert near(found["dominant_colour"], "#5a5a5a") and found["garment_aspect"] == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 300), (3, 3), (5000, 50)])
@pytest.mark.filterwarnings("error")
def test_tiny_and_thin_pictures(size: tuple[int, int]) -> None:
    for colour in (WHITE, RED):
        found = describe(jpeg(Image.new("RGB", size, colour)), GROUPING)
        assert not found["has_silhouette"] and found["dominant_share"] == 1


def test_a_thin_garment_keeps_its_colour() -> None:
    """A belt two pixels wide is all rim."""
    picture, pen = canvas()
    pen.rectangle((60, 20, 61, 170), RED)
    found = describe(opened(picture), GROUPING)
    assert found["has_silhouette"] and near(found["dominant_colour"], RED_HEX)


def test_upright_size_of_a_turned_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = describe(jpeg(canvas(1800, 1200)[0], exif=exif), GROUPING)
    assert (found["image_width"], found["image_height"]) == (1200, 1800)


def test_hex_and_back() -> None:
    colours = ["#000000", "#ffffff", RED_HEX, "#0a0b0c", "#7f8081"]
    assert [to_hex(lab) for lab in from_hex(colours)] == colours
    assert from_hex([]).shape == (0, 3)


def test_parameters_are_named() -> None:
    assert Grouping(12.0, 8).name == f"v{image_descriptors.VERSION}-tolerance12-limit8"
