"""The figures of the Fashion-MNIST report, by hand, and the report itself on a few of its pictures."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import fashion_mnist
from benchmarks.fashion_mnist import Quality
from tests.conftest import SHARED_DATA


def test_idx_files(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, *range(6)])))
    assert fashion_mnist.read_idx(path).tolist() == [[[0, 1, 2]], [[3, 4, 5]]]
    path.write_bytes(gzip.compress(bytes([0, 0, 13, 1, 0, 0, 0, 0])))
    with pytest.raises(ValueError, match="not an IDX file"):
        fashion_mnist.read_idx(path)


def test_precision_is_the_share_of_neighbours_of_the_asked_class() -> None:
    known, asked = np.array([7, 7, 3, 3]), np.array([7, 3])
    neighbours = np.array([[0, 1, 2], [2, 0, 1]])  # 7 7 3 for a 7; 3 7 7 for a 3
    assert fashion_mnist.precision(neighbours, known, asked) == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_error_is_the_mean_square() -> None:
    assert fashion_mnist.error(np.array([[0.0, 1.0]]), np.array([[0.5, 0.8]])) == pytest.approx((0.25 + 0.04) / 2)


def test_the_frame_is_black_and_comes_off_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.random.default_rng(0).integers(1, 256, (3, 28, 28), dtype=np.uint8)
    framed = fashion_mnist.framed(pictures)
    assert framed.shape == (3, 3, 32, 32) and int(framed[:, :, 0].max()) == int(framed[..., -1].max()) == 0
    assert torch.equal(framed[:, 2, 2:-2, 2:-2], torch.from_numpy(pictures))
    module = fashion_mnist.AutoencoderModule(widths=fashion_mnist.WIDTHS, latent=fashion_mnist.LATENT).eval()
    features, rebuilt = fashion_mnist.applied(module, pictures)
    assert features.shape == (3, 4 * 4 * fashion_mnist.LATENT)
    with torch.inference_mode():
        whole = module(framed).numpy()
    assert rebuilt == pytest.approx(whole.mean(1)[:, 2:30, 2:30])


def test_the_section_takes_its_place_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a: generated -->\nold\n<!-- a: end -->\nafter\n")
    fashion_mnist.write_section(page, "a", "new")
    fashion_mnist.write_section(page, "a", "newer")
    assert page.read_text() == "before\n<!-- a: generated -->\n\nnewer\n\n<!-- a: end -->\nafter\n"
    with pytest.raises(ValueError, match="no place for b"):
        fashion_mnist.write_section(page, "b", "new")


def test_the_table() -> None:
    found = [Quality("raw pixels", 784, 0.0, 0.81234), Quality("autoencoder", 64, 0.0123456, 0.8)]
    text = fashion_mnist.section(found, (60_000, 10_000), 5, 185, "make it")
    assert (
        "60,000 training images" in text
        and "10,000 test images" in text
        and "3 processor minutes. Command: `make it`" in text
    )
    assert text.splitlines()[-2:] == [
        "| raw pixels | 784 | 0.00000 | 0.8123 |",
        "| autoencoder | 64 | 0.01235 | 0.8000 |",
    ]


def test_the_page_has_the_section() -> None:
    text = fashion_mnist.PAGE.read_text(encoding="utf-8")
    assert f"<!-- {fashion_mnist.SECTION}: generated -->\n" in text and f"<!-- {fashion_mnist.SECTION}: end -->" in text


def test_the_comparison_on_some_real_pictures() -> None:
    folder = SHARED_DATA / "fashion_mnist"
    if not folder.is_dir():
        pytest.skip("Fashion-MNIST is not in the shared data folder")
    pictures, classes = fashion_mnist.read(folder, "t10k")
    assert pictures.shape == (10_000, 28, 28) and np.bincount(classes).tolist() == [1_000] * 10
    found = fashion_mnist.compare(
        (pictures[:500], classes[:500]), (pictures[500:600], classes[500:600]), epochs=1, seed=0
    )
    raw, faces, autoencoder = found
    assert [q.features for q in found] == [784, 30, 64]
    assert raw.error == 0 and 0 < faces.error < 0.03 and faces.error < autoencoder.error < 0.3
    assert min(raw.precision, faces.precision) > 0.5 and autoencoder.precision > 0.2
