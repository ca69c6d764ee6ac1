"""Approximate nearest neighbours by a graph (HNSW: Malkov and Yashunin 2018), in faiss.

"TF-IDF and an approximate index" of the paper used Annoy, which is no longer kept.
"""

from __future__ import annotations

import faiss
import numpy as np

from jobs.embeddings.text_encoders import unit
from jobs.similarity.search import NO_NEIGHBOUR

#: Links of an article in the graph, and how many candidates are kept in mind when it is built and searched.
LINKS, BUILD, SEARCH = 32, 80, 128
#: Asked for beside the k wanted: an article itself, and what equal texts hide.
_SPARE = 4


def neighbours(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """As search.nearest by cosine of vectors [n, d] among themselves, nothing its own neighbour, but not exact.

    Returns indices int64 [n, k] and cosines float32 [n, k], the best first; NO_NEIGHBOUR and NaN where there are fewer.
    """
    vectors = unit(vectors)
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILD, max(SEARCH, 2 * k)
    index.add(vectors)
    scores, found = index.search(vectors, min(k + _SPARE, len(vectors)))
    own = (found == np.arange(len(vectors))[:, None]) | (found < 0)
    order = np.argsort(own, axis=1, kind="stable")[:, :k]
    found, scores, own = (np.take_along_axis(part, order, axis=1) for part in (found, scores, own))
    found, scores = np.where(own, NO_NEIGHBOUR, found), np.where(own, np.nan, scores)
    short = ((0, 0), (0, max(k - found.shape[1], 0)))
    padded = np.pad(found, short, constant_values=NO_NEIGHBOUR), np.pad(scores, short, constant_values=np.nan)
    return padded[0].astype(np.int64), padded[1].astype(np.float32)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Share of the exact neighbours [n, k] that are among those found [n, k]."""
    hits = (found[:, :, None] == exact[:, None, :]) & (exact != NO_NEIGHBOUR)[:, None, :]
    return float(hits.any(axis=1).sum() / max((exact != NO_NEIGHBOUR).sum(), 1))
