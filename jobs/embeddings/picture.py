"""A map of the catalogue: image embeddings in two dimensions by t-SNE, coloured by product group and by colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

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
