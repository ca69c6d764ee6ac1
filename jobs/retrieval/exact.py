"""Exact search for the largest inner products: by faiss on a processor, by torch on a GPU where there is one."""

from __future__ import annotations

import faiss
import numpy as np

from jobs.retrieval.source import Floats, TopK, best, empty_topk


class ExactSearch:
    """Vectors ready to be searched.

    Args:
        vectors: (m, d).
        device: where torch searches; None: the GPU where there is one, else faiss on the processor.
    """

    def __init__(self, vectors: Floats, device: str | None = None) -> None:
        import torch  # not above: whoever needs the names of sources alone would wait for it

        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self._size = len(vectors)
        device = device or ("cuda" if torch.cuda.is_available() else None)
        self._resident = None if device is None else torch.from_numpy(vectors).to(device)
        if self._resident is None:
            self._index = faiss.IndexFlatIP(vectors.shape[1])
            self._index.add(vectors)

    def nearest(self, queries: Floats, count: int) -> TopK:
        """Positions of the vectors of the largest inner products, and these; of equal ones the smaller position first.

        Returns:
            As many columns as asked for, or as there are vectors where they are fewer.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        count = min(count, self._size)
        if not count or not len(queries):
            return empty_topk(len(queries), count)
        if self._resident is None:
            products, positions = self._index.search(queries, count)
        else:
            import torch

            top = (torch.from_numpy(queries).to(self._resident.device) @ self._resident.T).topk(count, dim=1)
            products, positions = top.values.cpu().numpy(), top.indices.cpu().numpy()
        return best(positions.astype(np.int32), products, count)
