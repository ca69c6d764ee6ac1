"""Features of garment and of colour joined into one vector, fitted once per encoder on the catalogue's own labels.

Three blocks stand side by side: the garment as its product shows it, the garment as its type shows it, and its colour.
Each is reduced by PCA and then weighed as in probabilistic linear discriminant analysis (Ioffe 2006): what differs
between two colours of one product says little about the garment, what differs within a colour group says little about
the colour. So axes are scaled to the same spread within groups, and by the share of their variance that lies between
groups. The spread within is shrunk towards that of all pictures, the more the fewer groups have two members; without
labels this is whitening.

How much type and colour count is chosen on products that the maps were not fitted on. Colour and product pull apart,
since another article of the product mostly has another colour. So of the weights that find the colour COLOUR_GAIN times
as often as the garment's own features, those are taken that find type and product best.
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
WEIGHTS = tuple(product((0.0, 1.0, 2.0), (0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.95, 1.1, 1.4, 1.8)))
USUAL = (0.0, 0.5)
#: The nearest article is to have the same colour so many times as often as by the garment's features alone: these find
#: it in four of ten cases, and who looks for likes of a black dress does not want a yellow one.
COLOUR_GAIN = 1.5
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
        products = [
            _products((part - mean) @ linear)
            for part, (mean, linear) in zip(_parts(features[unseen], first), maps, strict=True)
        ]
        found = {
            of: _shares(np.sum(_weighted(products, [weight**2 for weight in of]), axis=0), labels, unseen)
            for of in WEIGHTS
        }
        weights = _chosen(found, _shares(_products(features[unseen, :first]), labels, unseen))
        shares = {
            f"val/same_{name.removesuffix('_name').removesuffix('_code')}": x for name, x in found[weights].items()
        }
    maps = _maps(features, first, labels)
    chosen = {"type_weight": weights[0], "colour_weight": weights[1]}
    return _joined(features, first, maps, weights), chosen | shares


def _chosen(found: Mapping[Weights, Shares], garment: Shares) -> Weights:
    """Of the weights with COLOUR_GAIN those with the best type and product; where none has it, the best of all three.

    Best is the greatest product of shares.

    Args:
        found: shares by weights.
        garment: shares of the garment's features as they are.
    """
    wanted = COLOUR_GAIN * garment.get(COLOUR, np.inf)
    enough = [weights for weights, shares in found.items() if shares.get(COLOUR, 0) >= wanted]
    judged = [name for name in garment if not (enough and name == COLOUR)]
    return max(enough or found, key=lambda weights: np.prod([max(found[weights][name], 1e-3) for name in judged]))


def _parts(features: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return features[:, :first], features[:, :first], features[:, first:]


def _products(vectors: np.ndarray) -> np.ndarray:
    """Scalar products of vectors [n, d], float32 [n, n]; those of blocks add up to those of the whole."""
    vectors = vectors.astype(np.float32)
    return vectors @ vectors.T


def _weighted(blocks: Sequence[np.ndarray], weights: Sequence[float]) -> list[np.ndarray]:
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


def _shares(products: np.ndarray, labels: dict[str, np.ndarray], rows: np.ndarray) -> Shares:
    """Of the nearest by cosine, the shares with the same label, for the labels that any two have in common.

    Args:
        products: scalar products of the vectors of these rows, [n, n].
    """
    length = np.sqrt(np.maximum(products.diagonal(), 1e-18))
    likeness = products / length
    np.fill_diagonal(likeness, -np.inf)
    nearest = likeness.argmax(axis=1)
    found: Shares = {}
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
