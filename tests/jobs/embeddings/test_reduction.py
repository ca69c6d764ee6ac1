"""PCA: dimensions, nesting, storage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.embeddings import reduction


def features(n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, d)) * np.linspace(5, 0.1, d) + 3).astype(np.float32)


@pytest.mark.parametrize(("n", "d", "components"), [(50, 8, 8), (5, 8, 4), (2, 8, 1)])
def test_no_more_dimensions_than_the_data_span(n: int, d: int, components: int) -> None:
    pca = reduction.fit(features(n, d))
    assert pca.components.shape == (components, d)
    assert pca.variance_kept(components) == pytest.approx(1.0, abs=1e-5)
    assert pca.apply(features(n, d), 256).shape == (n, components)


def test_by_hand() -> None:
    """Points on the line (1, 1): one direction holds everything, at distances -sqrt(2), 0, sqrt(2)."""
    pca = reduction.fit(np.array([[0, 0], [1, 1], [2, 2]], np.float32))
    line = pca.apply(np.array([[0, 0], [1, 1], [2, 2]], np.float32), 1)[:, 0]
    assert np.abs(line) == pytest.approx([2**0.5, 0, 2**0.5], abs=1e-6)
    assert pca.variance_kept(1) == pytest.approx(1.0)


def test_fewer_dimensions_are_the_first_of_more_and_order_is_by_variance() -> None:
    x = features(60, 10)
    pca = reduction.fit(x)
    assert np.array_equal(pca.apply(x, 10)[:, :3], pca.apply(x, 3))
    assert (np.diff(pca.variance_ratio) <= 0).all()


def test_save_and_load_equal(tmp_path: Path) -> None:
    x = features(20, 6)
    pca = reduction.fit(x)
    pca.save(tmp_path / "pca.npz")
    assert np.array_equal(reduction.load(tmp_path / "pca.npz").apply(x, 4), pca.apply(x, 4))


def test_identical_pictures_have_no_variance() -> None:
    pca = reduction.fit(np.ones((4, 3), np.float32))
    assert np.isfinite(pca.apply(np.ones((4, 3), np.float32), 3)).all() and pca.variance_kept(3) == 0
