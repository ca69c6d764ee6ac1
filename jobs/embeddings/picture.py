"""Pictures of what an encoder makes of the catalogue.

A map (image embeddings in two dimensions by t-SNE, coloured by product group and by colour), images above their
reconstructions, and Eigenfaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sklearn.manifold import TSNE

from jobs.embeddings.reduction import Reduction

MAX_POINTS = 1_000
#: Groups with a colour of their own; the rest share grey.
COLOURED_GROUPS = 10


def draw_map(vectors: np.ndarray, groups: Mapping[str, Sequence[str | None]], path: Path, seed: int) -> None:
    """Write the map of embeddings [n, k], n >= 4, as PNG; at most MAX_POINTS of them, drawn at random.

    `groups` has what each panel is coloured by: its name, and the n values.
    """
    rows = np.random.default_rng(seed).permutation(len(vectors))[:MAX_POINTS]
    perplexity = min(30.0, (len(rows) - 1) / 3)
    # The first components hold nearly all distances; t-SNE's neighbour search is quickest on few.
    points = TSNE(perplexity=perplexity, init="pca", max_iter=500, random_state=seed).fit_transform(
        vectors[rows][:, :50]
    )
    figure = Figure(figsize=(9 * len(groups), 7), layout="constrained")
    figure.suptitle(f"{len(rows):,} product images, t-SNE of their embeddings")
    for axes, (title, values) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        _panel(axes, points, [values[row] or "unknown" for row in rows], title)
    figure.savefig(path, dpi=110)


def _panel(axes: Axes, points: np.ndarray, names: list[str], title: str) -> None:
    top = [name for name, _ in Counter(names).most_common(COLOURED_GROUPS)]
    colours = {name: f"C{i}" for i, name in enumerate(top)}
    for name in [None, *top]:
        chosen = [i for i, n in enumerate(names) if n == name or (name is None and n not in colours)]
        if chosen:
            x, y = points[chosen].T
            axes.scatter(x, y, s=14, color=colours.get(name or "", "0.8"), label=name or "other", linewidths=0)
    axes.set(xticks=[], yticks=[])
    axes.legend(title=title, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def reconstructions(images: np.ndarray, rebuilt: np.ndarray) -> Image.Image:
    """Images uint8 [n, h, w, 3] side by side, and below each what an autoencoder made of it."""
    rows = [np.concatenate(list(some), axis=1) for some in (images, rebuilt)]
    return Image.fromarray(np.concatenate(rows))


def eigenfaces(pca: Reduction, size: tuple[int, int]) -> Image.Image:
    """The mean of grey pictures of `size` (height, width), and their components from grey = 0 outwards, in rows.

    The first is the mean; each component has its own scale.
    """
    scale = np.abs(pca.components).max(axis=1, keepdims=True).clip(min=1e-12)
    faces = np.concatenate([pca.mean[None], 0.5 + 0.5 * pca.components / scale]).reshape(-1, *size)
    across = 8
    blank = np.ones((-len(faces) % across, *size), np.float32)
    grid = np.concatenate([faces, blank]).reshape(-1, across, *size).swapaxes(1, 2)
    pixels = (grid.reshape(-1, across * size[1]).clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels).resize((4 * pixels.shape[1], 4 * pixels.shape[0]), Image.Resampling.NEAREST)
