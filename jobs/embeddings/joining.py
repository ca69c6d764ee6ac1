"""Features of garment and of colour joined into one vector, fitted once per encoder on the catalogue's own labels.

Three blocks stand side by side: the garment as its product shows it, the garment as its type shows it, and its colour.
Each is reduced by PCA and then weighed as in probabilistic linear discriminant analysis (Ioffe 2006): what differs
between two colours of one product says little about the garment, what differs within a colour group says little about
the colour. So axes are scaled to the same spread within groups, and by the share of their variance that lies between
groups. The spread within is shrunk towards that of all pictures, the more the fewer groups have two members; without
labels this is whitening.

How much type and colour count is chosen on products that the maps were not fitted on: the weights whose nearest
articles are most often of the same colour, among those that do not lose what joining gains in type and in product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.linalg import block_diag

from jobs.embeddings.reduction import Reduction

#: Components of each block: garment by product, garment by type, colour.
COMPONENTS = (192, 192, 48)
#: A component of less than this share of its block's variance is rounding.
LEAST_VARIANCE = 1e-7
#: An axis keeps at least this much of its scale, so that no vector is zero.
LEAST_SIGNAL = 0.02
#: What type and colour may count beside the product, and what they count where no labels say.
WEIGHTS = tuple(product((0.0, 0.5, 1.0), (0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.4)))
USUAL = (0.0, 0.5)
#: Of what joining gains over the garment's own features in type and in product, this share is kept at least.
KEPT = 0.5
#: The weight is chosen on at most so many articles.
MAX_CHOICE = 3_000
#: What each block's groups are: silver/articles' columns; and the labels that the weights are chosen by.
GROUPS = PRODUCT, TYPE, COLOUR = "product_code", "product_type_name", "colour_group_name"
NONE = -1

#: Of type and colour.
Weights = tuple[float, float]
#: Label -> share.
Shares = dict[str, float]


def codes(articles: pa.Table, column: str) -> np.ndarray:
    """The values of a column as int64 [n], NONE where null."""
    values = articles[column].combine_chunks().dictionary_encode()
    return pc.fill_null(values.indices, NONE).to_numpy(zero_copy_only=False).astype(np.int64)


def fit(features: np.ndarray, first: int, articles: pa.Table, seed: int) -> tuple[Reduction, dict[str, float]]:
    """Fit on features [n, d], n >= 2, of these articles: `first` of the garment, then those of the colour.

    Returns the map to vectors; and as `type_weight` and `colour_weight` what these count, with the shares
    (`val/same_...`) that they were chosen by, where there were products to choose on.
    """
    labels = {name: codes(articles, name) for name in GROUPS}
    rng = np.random.default_rng(seed)
    of_product = labels[PRODUCT]
    half = rng.random(of_product.max() + 2)[of_product] < 0.5  # a product is on one side with all its colours
    weights, shares = USUAL, dict[str, float]()
    seen, unseen = np.flatnonzero(half), np.flatnonzero(~half)[:MAX_CHOICE]
    if min(len(seen), len(unseen)) >= 2:
        maps = _maps(features[seen], first, {name: values[seen] for name, values in labels.items()})
        blocks = [
            (part - mean) @ linear for part, (mean, linear) in zip(_parts(features[unseen], first), maps, strict=True)
        ]
        found = {w: _shares(np.hstack(_weighted(blocks, w)), labels, unseen) for w in WEIGHTS}
        weights = _chosen(found, _shares(features[unseen, :first], labels, unseen))
        shares = {
            f"val/same_{name.removesuffix('_name').removesuffix('_code')}": x for name, x in found[weights].items()
        }
    maps = _maps(features, first, labels)
    chosen = {"type_weight": weights[0], "colour_weight": weights[1]}
    return _joined(features, first, maps, weights), chosen | shares


def _chosen(found: Mapping[Weights, Shares], garment: Shares) -> Weights:
    """The weights with most of the same colour of those that keep what there is to gain; else the best of all shares.

    Args:
        found: shares by weights.
        garment: shares of the garment's features as they are.
    """

    def of_all(weights: Weights) -> float:
        return float(np.prod([max(share, 1e-3) for share in found[weights].values()]))

    floors = {
        name: share + KEPT * (max(shares[name] for shares in found.values()) - share)
        for name, share in garment.items()
        if name != COLOUR
    }
    allowed = [w for w, shares in found.items() if all(shares[name] >= floor for name, floor in floors.items())]
    if allowed and COLOUR in garment:
        return max(allowed, key=lambda w: (found[w][COLOUR], of_all(w)))
    return max(found, key=of_all)


def _parts(features: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return features[:, :first], features[:, :first], features[:, first:]


def _weighted(blocks: Sequence[np.ndarray], weights: Weights) -> list[np.ndarray]:
    return [weight * block for weight, block in zip((1.0, *weights), blocks, strict=True)]


def _maps(features: np.ndarray, first: int, labels: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean [d] and linear map [d, k] of each block, whose images have a mean square length of 1."""
    parts = zip(_parts(features, first), GROUPS, COMPONENTS, strict=True)
    return [_weighed(part, labels[name], components) for part, name, components in parts]


def _weighed(features: np.ndarray, group: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    mean = features.mean(axis=0, dtype=np.float64)
    centred = (features - mean).astype(np.float32)
    variance, directions = np.linalg.eigh(np.cov(centred.T, bias=True).astype(np.float64))
    kept = np.argsort(-variance)[:components]
    kept = kept[variance[kept] > max(LEAST_VARIANCE * variance.sum(), 1e-12)]
    if not len(kept):  # all pictures are one
        return mean, np.zeros((len(mean), 1))
    reduced, total = centred @ directions[:, kept], np.diag(variance[kept])
    within, freedom = _within(reduced, group)
    share = len(kept) / (len(kept) + freedom)
    if np.trace(within) > 0:
        total = (1 - share) * within + share * total * np.trace(within) / np.trace(total)
    spread, axes = np.linalg.eigh(total)
    round_ = directions[:, kept] @ (axes / np.sqrt(spread))
    variance, axes = np.linalg.eigh(np.cov((centred @ round_).T, bias=True).reshape(len(kept), -1))
    linear = round_ @ (axes * (1 - 1 / np.maximum(variance, 1)).clip(min=LEAST_SIGNAL))
    return mean, linear / np.sqrt(((centred @ linear) ** 2).sum(axis=1).mean())


def _within(rows: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, int]:
    """Covariance of rows [n, k] within their groups, and its degrees of freedom; rows of no group are left out."""
    rows, group = rows[group != NONE], group[group != NONE]
    size = np.maximum(np.bincount(group), 1)
    sums = np.zeros((len(size), rows.shape[1]))
    np.add.at(sums, group, rows)
    apart = (rows - sums[group] / size[group, None])[size[group] > 1]
    freedom = len(apart) - int((size > 1).sum())
    return apart.T @ apart / max(freedom, 1), freedom


def _shares(vectors: np.ndarray, labels: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, float]:
    """Of the nearest by cosine, the shares with the same label, for the labels that any two have in common."""
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    unit = (vectors / length).astype(np.float32)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -2)
    nearest = likeness.argmax(axis=1)
    found = {}
    for name in GROUPS:
        own = labels[name][rows]
        if np.bincount(own[own != NONE], minlength=1).max() > 1:
            found[name] = float(((own == own[nearest]) & (own != NONE)).sum() / max((own != NONE).sum(), 1))
    return found


def _joined(features: np.ndarray, first: int, maps: list[tuple[np.ndarray, np.ndarray]], weights: Weights) -> Reduction:
    """All maps side by side, turned so that the first n components keep as much of the vectors as n can."""
    (mean, _), _, (mean_colour, _) = maps
    *garment, colour = _weighted([linear for _, linear in maps], weights)
    linear = block_diag(np.hstack(garment), colour)
    centre = np.concatenate([mean, mean_colour]).astype(np.float32)
    vectors = (features - centre) @ linear
    variance, axes = np.linalg.eigh(np.cov(vectors.T, bias=True).reshape(linear.shape[1], -1))
    order = np.argsort(-variance)
    ratio = variance[order].clip(min=0) / max(variance.sum(), 1e-12)
    components = np.ascontiguousarray((linear @ axes[:, order]).T, dtype=np.float32)
    return Reduction(centre, components, ratio.astype(np.float32), is_pca=False)
