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
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from PIL import Image
from sklearn.manifold import TSNE

from jobs.embeddings.reduction import Reduction

MAX_POINTS = 2_000
#: Groups with a colour of their own; the rest share grey. Ten hues can be distinguished, so markers change after them.
COLOURED_GROUPS, HUES, MARKERS = 20, 10, "o^"
#: Behind points that have the colours of garments, white among them.
GROUND = "0.9"
#: Characters of a group's name: a longer one would leave the points no room.
NAME = 40


def draw_map(
    vectors: np.ndarray, groups: Mapping[str, Sequence[str | None]], path: Path, seed: int, title: str
) -> None:
    """Write the map of embeddings [n, k], n >= 4, as PNG; at most MAX_POINTS of them, drawn at random.

    `groups` has what each panel is coloured by: its name, and the n values. Values that are names of colours have them.
    """
    rows = np.random.default_rng(seed).permutation(len(vectors))[:MAX_POINTS]
    perplexity = min(30.0, (len(rows) - 1) / 3)
    # The first components hold nearly all distances; t-SNE's neighbour search is quickest on few.
    points = TSNE(perplexity=perplexity, init="pca", max_iter=500, random_state=seed).fit_transform(
        vectors[rows][:, :50]
    )
    # One below the other: side by side they are too small in MLflow's pane to read.
    figure = Figure(figsize=(10.5, 8.5 * len(groups)), layout="constrained")
    shown = f"{len(rows):,} of {len(vectors):,}" if len(rows) < len(vectors) else f"{len(rows):,}"
    figure.suptitle(f"{title}\nt-SNE of {shown} product images: close together means alike to the encoder", fontsize=13)
    for axes, (name, values) in zip(figure.subplots(len(groups), 1, squeeze=False)[:, 0], groups.items(), strict=True):
        _panel(axes, points, [values[row] or "unknown" for row in rows], name)
    figure.savefig(path, dpi=110)


def shortened(name: str) -> str:
    """A name as a picture has room for it."""
    return name if len(name) <= NAME else f"{name[: NAME - 3]}..."


def named_colour(name: str) -> str | None:
    """The colour that a name says, as in "Dark Blue" or "Greenish Khaki"; None where it says none."""
    words = name.lower().replace("gray", "grey")
    found = (f"xkcd:{some}" for some in (words, words.rsplit(" ", 1)[-1]))
    return next((colour for colour in found if is_color_like(colour)), None)


def _panel(axes: Axes, points: np.ndarray, names: list[str], title: str) -> None:
    counts = Counter(names)
    top = [name for name, _ in counts.most_common(COLOURED_GROUPS)]
    named = {name: colour for name in counts if (colour := named_colour(name))}
    other, face = "others", "0.7"
    if len(named) > len(counts) / 2:
        axes.set_facecolor(GROUND)
        looks = {name: (named[name], "o", "0.45") for name in named}
        other, face = "others, each in its colour", "none"
    else:
        looks = {name: (f"C{i % HUES}", MARKERS[i // HUES], "white") for i, name in enumerate(top)}
    size = float(np.clip(30_000 / len(points), 14, 40))
    values = np.array(names)
    # The largest first, so that it hides none of the others.
    for name, count in counts.most_common():
        colour, marker, edge = looks.get(name, ("0.7", "X", "white"))
        x, y = points[values == name].T
        label = f"{shortened(name)} ({count:,})" if name in top else None
        axes.scatter(x, y, s=size, c=colour, marker=marker, label=label, linewidths=0.4, edgecolors=edge, alpha=0.9)
    if rest := sum(count for name, count in counts.items() if name not in top):
        axes.scatter([], [], c=face, marker="X", label=f"{other} ({rest:,})")
    axes.set(xticks=[], yticks=[], title=f"by {title}")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=1.8, fontsize=12)


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
