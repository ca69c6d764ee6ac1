"""Photographs of Fashion-MNIST as a catalogue: records, variants and pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.tinted_styles import PALETTE, styles, tinted, write
from sample_data.styles import HEADER, SMALL
from tests.conftest import SHARED_DATA


def test_what_is_bright_is_tinted_and_the_rest_is_white() -> None:
    grey = np.zeros((28, 28), np.uint8)
    grey[8:20, 8:20] = 200
    found = np.asarray(tinted(grey, np.array(PALETTE["Red"])))
    assert found.shape == (*SMALL[::-1], 3) and (found[0, 0] == 255).all()
    assert found[40, 30, 0] > 150 > 60 > found[40, 30, 2]


def test_variants_of_a_photograph_are_one_product_in_other_colours() -> None:
    found = styles(np.array([0, 7, 8] * 30), seed=1)
    assert len({record["id"] for _, _, record in found}) == len(found) > 90
    for photograph in range(90):
        records = [record for number, _, record in found if number == photograph]
        assert len({record["baseColour"] for record in records}) == len(records) <= 3
        names = {record["productDisplayName"].replace(record["baseColour"], "") for record in records}
        assert len(names) == len({(record["gender"], record["articleType"]) for record in records}) == 1


@pytest.mark.skipif(not (SHARED_DATA / "fashion_mnist").is_dir(), reason="Fashion-MNIST is not there")
def test_files(tmp_path: Path) -> None:
    count = write(SHARED_DATA / "fashion_mnist", tmp_path, 20, seed=1)
    with (tmp_path / "styles.csv").open(encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    assert len(records) == count and tuple(records[0]) == HEADER
    assert {Image.open(tmp_path / "images" / f"{record['id']}.jpg").size for record in records} == {SMALL}
