"""The garment's colours, whatever lies behind it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from jobs.embeddings.colour import ColourHistogram, garment
from jobs.embeddings.encoders import whole_on_white

RED, BLUE, WHITE = (180, 20, 40), (30, 50, 160), (250, 249, 246)
HISTOGRAM = ColourHistogram()


def picture(colour: tuple[int, int, int], ground: tuple[int, int, int], size: int = 60, noise: float = 1) -> np.ndarray:
    """A shirt's outline of so many pixels in the middle of a portrait, with a photograph's noise, padded white."""
    drawn = Image.new("RGB", (120, 180), ground)
    half = size // 2
    ImageDraw.Draw(drawn).rectangle((60 - half, 90 - half, 60 + half, 90 + half), colour)
    pixels = np.asarray(drawn.filter(ImageFilter.GaussianBlur(1)), np.float32)
    pixels = pixels + np.random.default_rng(0).normal(0, noise, pixels.shape)
    return whole_on_white(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), (224, 224))


def colours(*pictures: np.ndarray) -> np.ndarray:
    return HISTOGRAM(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)).numpy()


def test_neither_ground_nor_size_matter() -> None:
    same = [picture(RED, (255, 255, 255)), picture(RED, (235, 235, 235)), picture(RED, (246, 243, 238), 30)]
    found = colours(*same, picture(BLUE, (255, 255, 255)))
    likeness = found @ found.T
    assert np.diag(likeness) == pytest.approx(1, abs=1e-3)
    assert likeness[:3, :3].min() > 0.97 and likeness[:3, 3].max() < 0.1


def test_a_white_garment_is_not_taken_for_ground() -> None:
    pixels = torch.from_numpy(np.stack([picture(WHITE, (228, 229, 230), noise=0.4)])).permute(0, 3, 1, 2)
    rgb = pixels[:, :, 2::4, 2::4].float() / 255
    mask = garment(HISTOGRAM.lab(rgb), rgb)[0]
    assert mask[28, 28] and not mask[28, 2] and not mask[4, 28]  # the shirt; the padding; the ground
    assert 0.05 < float(mask.float().mean()) < 0.12


def test_without_a_plain_ground_all_counts() -> None:
    street = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    street[60:160, 60:160] = RED
    red = colours(picture(RED, (255, 255, 255)))[0]
    assert 0.2 < float(colours(street)[0] @ red) < 0.8


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_empty_picture_has_one_colour(shade: int) -> None:
    (found,) = colours(np.full((224, 224, 3), shade, np.uint8))
    assert np.isfinite(found).all() and np.linalg.norm(found) == pytest.approx(1, abs=1e-3)


def test_a_picture_alone_has_the_colours_it_has_among_others() -> None:
    some = [picture(RED, (235, 235, 235)), picture(BLUE, (255, 255, 255), 100), picture(WHITE, (240, 240, 240))]
    assert np.concatenate([colours(one) for one in some]) == pytest.approx(colours(*some), abs=1e-4)


def test_its_lab_is_scikit_images() -> None:
    from skimage.color import rgb2lab

    rgb = np.random.default_rng(1).random((4, 5, 3)).astype(np.float32)
    found = HISTOGRAM.lab(torch.from_numpy(rgb).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    assert found == pytest.approx(rgb2lab(rgb), abs=0.05)
