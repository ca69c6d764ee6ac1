"""Exact nearest neighbours by matrix products, block by block: on a GPU where there is one, else on all cores.

The products are taken in single precision and only select: whatever rounding could hide among the best is scored again
in double precision, pair by pair. So the result depends neither on block sizes nor on the machine, and equal vectors
have equal scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Metric = Literal["cosine", "euclidean"]

#: Pads rows that have fewer than k neighbours.
NO_NEIGHBOUR = -1
#: Bytes of a block of products; on a processor, larger blocks only miss the cache more.
_CPU_BYTES, _GPU_BYTES = 2**26, 2**30
#: Columns of a block of which first only the best is looked at, and pairs scored at once in double precision.
_TILE, _PAIRS = 64, 2**15
#: Half the distance between 1 and the next number in single precision.
_ROUNDING = 2.0**-24


def nearest(
    queries: npt.NDArray[np.float32],
    vectors: npt.NDArray[np.float32],
    k: int,
    metric: Metric,
    *,
    exclude: npt.NDArray[np.int64] | None = None,
    progress: Callable[[int], object] = lambda _: None,
    device: torch.device | str | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The k nearest of `vectors` to each query, nearest first; of equal scores the smaller index.

    Memory beside the arguments is bounded by a block of products, whatever the number of queries.

    Args:
        queries: finite, [n, d].
        vectors: finite, [m, d].
        k: neighbours per query, at least 1.
        metric: "cosine", whose score is the similarity (0 with a vector of zeros, which has no direction), or
            "euclidean", whose score is the distance.
        exclude: index of a vector that may not be a query's neighbour, [n], NO_NEIGHBOUR for none; with
            `np.arange(n)` the vectors are their own queries and nothing is its own neighbour.
        progress: called with the number of queries answered since the last call.
        device: where to compute; None: the GPU where there is one.

    Returns:
        Indices into `vectors`, int64 [n, k], and scores, float32 [n, k]; NO_NEIGHBOUR and NaN where there are fewer.

    Raises:
        ValueError: shapes do not fit, or a number is not finite.
    """
    if queries.ndim != 2 or vectors.ndim != 2 or queries.shape[1] != vectors.shape[1] or k < 1:
        raise ValueError(f"queries {queries.shape}, vectors {vectors.shape} and k = {k} do not fit")
    if not (np.isfinite(queries).all() and np.isfinite(vectors).all()):
        raise ValueError("a query or vector holds a number that is not finite")
    indices = np.full((len(queries), k), NO_NEIGHBOUR, dtype=np.int64)
    scores = np.full((len(queries), k), np.nan, dtype=np.float32)
    if not len(vectors):
        return indices, scores
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    index = _Index(torch.from_numpy(np.require(vectors, np.float32, ["C", "W"])).to(chosen), k, metric)
    rows = max(1, (_GPU_BYTES if chosen.type == "cuda" else _CPU_BYTES) // (4 * len(index.padded)))
    with _single_precision():
        for start in range(0, len(queries), rows):
            block = slice(start, start + rows)
            asked = torch.from_numpy(np.require(queries[block], np.float32, ["C", "W"])).to(chosen)
            out = None if exclude is None else torch.from_numpy(exclude[block]).to(chosen)
            row, place, column, score = (part.cpu().numpy() for part in index.best(asked, out))
            indices[start + row, place], scores[start + row, place] = column, score
            progress(len(asked))
    return indices, scores


@contextmanager
def _single_precision() -> Iterator[None]:
    """Products of full single precision, which the error bounds need, whatever training in this process has set."""
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen)


class _Index:
    """Vectors [m, d] made ready for queries: `product + bias` in single precision ranks as the metric does."""

    def __init__(self, vectors: Tensor, k: int, metric: Metric) -> None:
        self.vectors, self.k, self.metric = vectors, k, metric
        self.norms = self._norms(vectors)
        count, dimensions = vectors.shape
        self.tile = min(_TILE, max(1, count // (8 * k)))  # far more tiles than k: a tight bound
        self.tiles = -(-count // self.tile)
        size = self.tiles * self.tile
        scaled = self._scaled(vectors, self.norms)
        self.padded = torch.cat([scaled, scaled.new_zeros(size - count, dimensions)])
        self.bias = scaled.new_full((size,), float("-inf"))
        self.bias[:count] = 0 if metric == "cosine" else (-(self.norms**2) / 2).float()
        longest = float(self.norms.max())
        self._reach = (1.0, 0.0) if metric == "cosine" else (longest, longest**2)
        # Rounding of d products and their sum; the rest of scaling, bias, and scores that end as single precision.
        self._share = (dimensions + 8) * _ROUNDING

    def best(self, queries: Tensor, exclude: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Query, place, column and score of the k best of each query, as parallel vectors."""
        norms = self._norms(queries)
        products = torch.addmm(self.bias, self._scaled(queries, norms), self.padded.T)
        if exclude is not None:
            (named,) = torch.nonzero(exclude >= 0, as_tuple=True)
            products[named, exclude[named]] = float("-inf")
        row, column = self._hopeful(products, norms)
        score = torch.cat(
            [
                self._score(queries[r], self.vectors[c], norms[r], self.norms[c])
                for r, c in zip(row.split(_PAIRS), column.split(_PAIRS), strict=True)
            ]
        )
        return self._first(row, column, score)

    def _hopeful(self, products: Tensor, norms: Tensor) -> tuple[Tensor, Tensor]:
        """Query and column of all pairs that may be among the k best, rounding errors allowed for.

        The k-th best of the tiles' maxima is no better than the k-th best product: k tiles hold one as good.
        """
        tiles = products.view(len(products), self.tile, self.tiles)  # tile t: columns t, t + tiles, ...
        maxima = tiles.amax(dim=1)
        kth = maxima.topk(min(self.k, self.tiles), dim=1).values[:, -1]
        per_length, constant = self._reach
        length = 1.0 if self.metric == "cosine" else norms.float()
        limit = kth - 2 * self._share * (per_length * length + constant)
        row, tile = torch.nonzero(maxima >= limit[:, None], as_tuple=True)
        kept = tiles[row, :, tile]
        pair, member = torch.nonzero((kept >= limit[row, None]) & ~torch.isinf(kept), as_tuple=True)
        return row[pair], member * self.tiles + tile[pair]

    def _first(self, row: Tensor, column: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The k best of each query, in order of (score, column)."""
        order = torch.argsort(column, stable=True)
        order = order[torch.argsort(score[order], stable=True, descending=self.metric == "cosine")]
        order = order[torch.argsort(row[order], stable=True)]
        row, column, score = row[order], column[order], score[order]
        place = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
        kept = place < self.k
        return row[kept], place[kept], column[kept], score[kept]

    def _score(self, queries: Tensor, vectors: Tensor, query_norms: Tensor, norms: Tensor) -> Tensor:
        """Scores of pairs of rows, float32 [p]."""
        queries, vectors = queries.double(), vectors.double()
        if self.metric == "euclidean":
            return (queries - vectors).square().sum(dim=1).sqrt().float()
        return ((queries * vectors).sum(dim=1) / (query_norms * norms)).clamp(-1, 1).float()

    def _scaled(self, rows: Tensor, norms: Tensor) -> Tensor:
        return rows if self.metric == "euclidean" else rows / norms[:, None].float()

    def _norms(self, rows: Tensor) -> Tensor:
        """Length of each row in double precision [n]; 1 for a row of zeros that is to be divided by it."""
        norms = torch.cat([part.double().square().sum(dim=1).sqrt() for part in rows.split(_PAIRS)])
        return torch.where(norms == 0, 1.0, norms) if self.metric == "cosine" else norms
