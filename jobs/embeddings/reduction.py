"""PCA of image features, fitted once per encoder and applied to every later image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

#: Images PCA is fitted on at most: far more than it has dimensions, and it is held in double precision.
MAX_FIT_IMAGES = 40_000


@dataclass(frozen=True)
class Reduction:
    """A fitted PCA: `mean` [d], `components` [k, d], and the share of variance of each component [k], falling.

    One fit serves every length: the first n components are the PCA to n dimensions. Without `is_pca` the components
    are those of `jobs.embeddings.joining`, whose vectors are compared as they are.
    """

    mean: np.ndarray
    components: np.ndarray
    variance_ratio: np.ndarray
    is_pca: bool = True

    def apply(self, features: np.ndarray, dimensions: int) -> np.ndarray:
        """Features [n, d] as float32 [n, dimensions]."""
        return ((features - self.mean) @ self.components[:dimensions].T).astype(np.float32)

    def uncentred(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors [n, k] with their mean put back, float32 [n, k + 1]: angles between them are those between features.

        PCA takes the mean away, and with it the origin that cosine similarity is about. The products of what this
        returns are those of the features, as far as the k components and the mean make these up: the last coordinate,
        the same for all, is the length of the mean's part that the components do not span.
        """
        if not self.is_pca:
            return vectors
        inside = self.components[: vectors.shape[1]] @ self.mean
        outside = np.sqrt(max(float(self.mean @ self.mean - inside @ inside), 0.0))
        return np.column_stack([vectors + inside, np.full(len(vectors), outside)]).astype(np.float32)

    def coordinates(self, features: np.ndarray, dimensions: int) -> np.ndarray:
        """Features [n, d] of anything in the space, float32 [n, dimensions + 1], so that products with what `uncentred`
        returns are those with pictures: along each component, and along the mean's part that these do not span.
        """
        components = self.components[:dimensions]
        outside = self.mean - (components @ self.mean) @ components
        length = np.linalg.norm(outside)
        direction = outside / length if length > 0 else outside
        return (features @ np.vstack([components, direction]).T).astype(np.float32)

    def variance_kept(self, dimensions: int) -> float:
        return float(self.variance_ratio[:dimensions].sum())

    def save(self, path: Path) -> None:
        np.savez(
            path,
            mean=self.mean,
            components=self.components,
            variance_ratio=self.variance_ratio,
            is_pca=np.array(self.is_pca),
        )


def load(path: Path) -> Reduction:
    with np.load(path, allow_pickle=False) as arrays:
        is_pca = bool(arrays["is_pca"]) if "is_pca" in arrays else True  # files of earlier versions say nothing
        return Reduction(arrays["mean"], arrays["components"], arrays["variance_ratio"], is_pca)


def fit(features: np.ndarray, at_most: int | None = None) -> Reduction:
    """Fit PCA on features [n, d], n >= 2: min(n - 1, d) components, since n centred points span no more, or fewer."""
    n, d = features.shape
    components = min(n - 1, d, at_most or d)
    with np.errstate(invalid="ignore"):  # identical pictures have no variance to share out
        pca = PCA(components, svd_solver="covariance_eigh" if n > d else "full").fit(features.astype(np.float64))
    ratio = np.nan_to_num(pca.explained_variance_ratio_)
    return Reduction(pca.mean_.astype(np.float32), pca.components_.astype(np.float32), ratio.astype(np.float32))
