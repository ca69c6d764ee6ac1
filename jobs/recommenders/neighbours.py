"""Products of sparse matrices, row block by row block, of which only the largest entries of each row are kept."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.source import Floats, TopK, best_per_row, empty_topk

#: Rows multiplied at once: with the most popular articles a row has some 100,000 entries.
BLOCK = 512


def largest(left: sparse.csr_matrix, right: sparse.csr_matrix, count: int, without: Ints | None = None) -> TopK:
    """The `count` columns of the largest entries of each row of left @ right, neither of which is negative.

    Args:
        without: a column of each row that is passed over, (rows,); None: none is.
    """
    found = empty_topk(left.shape[0], count)
    for start in range(0, left.shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        product = (left[rows] @ right).tocsr()
        if without is not None:
            own = np.repeat(without[rows], np.diff(product.indptr))
            product.data[product.indices == own] = 0
        product.eliminate_zeros()
        found.articles[rows], found.scores[rows] = best_per_row(product, count)
    return found


def largest_entries(matrix: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """The matrix, which has no negative entry, without all but the `count` largest of each row."""
    starts = range(0, matrix.shape[0], BLOCK)
    kept = [as_matrix(best_per_row(matrix[n : n + BLOCK], count), matrix.shape[1]) for n in starts]
    return sparse.vstack(kept, format="csr")


def as_matrix(found: TopK, columns: int) -> sparse.csr_matrix:
    """Scores by (row, column)."""
    is_found = found.articles != NO_ARTICLE
    ends = np.append(0, np.cumsum(is_found.sum(axis=1)))
    return sparse.csr_matrix((found.scores[is_found], found.articles[is_found], ends), shape=(len(is_found), columns))


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Each row divided by its length; rows without entries stay so."""
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float64)).ravel()
    return scaled_rows(matrix, np.divide(1, length, where=length > 0, out=np.zeros_like(length)))


def scaled_rows(matrix: sparse.csr_matrix, by: Floats | np.ndarray) -> sparse.csr_matrix:
    """Each row times its factor."""
    return (sparse.diags_array(by.astype(np.float32)) @ matrix).tocsr()
