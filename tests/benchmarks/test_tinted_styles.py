"""Photographs of Fashion-MNIST as a catalogue: records, variants and pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.tinted_styles import PALETTE, TYPES, add_faults, encoded, styles, tinted, write
from sample_data.styles import HEADER, LARGE, SMALL
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


def test_faults_of_records_and_pictures(tmp_path: Path) -> None:
    before = [record for _, _, record in styles(np.arange(10).repeat(150), seed=1)]
    after = [dict(record) for record in before]
    wrong = add_faults(after, np.random.default_rng(1))
    assert len(wrong) >= len(before) // 40
    for old, new in zip(before[1:], after[1:], strict=True):
        assert (old["articleType"] != new["articleType"]) == (new["id"] in wrong)
        assert (new["articleType"], new["subCategory"], new["masterCategory"]) in {each[:3] for each in TYPES}
    assert {"NA"} < {record["baseColour"] for record in after} and "NA" in {record["usage"] for record in after}
    assert "" in {record["season"] for record in after}
    assert [record["articleType"] for record in after].count("Umbrella Stand") == 1
    assert any("," in record["productDisplayName"] for record in after)

    picture = tinted(np.full((28, 28), 200, np.uint8), np.array(PALETTE["Red"]))
    assert all(encoded(picture, n, has_faults=False) == encoded(picture, 0, has_faults=True) for n in (11, 21, 31))
    (tmp_path / "large.jpg").write_bytes(encoded(picture, 11, has_faults=True))
    (tmp_path / "grey.jpg").write_bytes(encoded(picture, 21, has_faults=True))
    (tmp_path / "cut.jpg").write_bytes(encoded(picture, 31, has_faults=True))
    assert Image.open(tmp_path / "large.jpg").size == LARGE and Image.open(tmp_path / "grey.jpg").mode == "L"
    with pytest.raises(OSError, match="truncated"):
        Image.open(tmp_path / "cut.jpg").load()


@pytest.mark.skipif(not (SHARED_DATA / "fashion_mnist").is_dir(), reason="Fashion-MNIST is not there")
def test_files(tmp_path: Path) -> None:
    count = write(SHARED_DATA / "fashion_mnist", tmp_path, 20, seed=1)
    with (tmp_path / "styles.csv").open(encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    assert len(records) == count and tuple(records[0]) == HEADER
    assert {Image.open(tmp_path / "images" / f"{record['id']}.jpg").size for record in records} == {SMALL}


@pytest.mark.skipif(not (SHARED_DATA / "fashion_mnist").is_dir(), reason="Fashion-MNIST is not there")
def test_files_with_faults(tmp_path: Path) -> None:
    count = write(SHARED_DATA / "fashion_mnist", tmp_path, 60, seed=1, has_faults=True)
    assert len(list((tmp_path / "images").iterdir())) == count - 5
    first = [line.split(",")[0] for line in (tmp_path / "styles.csv").read_text().rstrip("\n").split("\n")]
    wrong = (tmp_path / "wrong_labels.csv").read_text().rstrip("\n").split("\n")
    assert len(first) == count + 1 and len(wrong) > 2 and set(wrong) < set(first)
