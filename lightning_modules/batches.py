"""Whole batches of images, sliced from tensors."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


class Batches:
    """Whole-batch slices of tensors, shuffled anew in each pass; shuffled batches are mirrored at random too.

    A loader of single images would spend longer on collating than a small network on learning.

    Args:
        tensors: the images [n, c, h, w], and whatever goes with them [n, ...].
        batch_size: of all batches but the last.
        chosen: bool [n], the rows that are asked for; they are copied only a batch at a time.
        shuffle_seed: of order and mirroring; None: every pass in order, as they are.
    """

    def __init__(
        self, tensors: tuple[Tensor, ...], batch_size: int, chosen: Tensor, shuffle_seed: int | None = None
    ) -> None:
        self.tensors, self.batch_size = tensors, batch_size
        self._rows = chosen.nonzero().flatten()
        self._generator = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)

    def __len__(self) -> int:
        return -(-len(self._rows) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        rows, generator = self._rows, self._generator
        if generator is not None:
            rows = rows[torch.randperm(len(rows), generator=generator)]
        for some in rows.split(self.batch_size):
            images, *others = (tensor[some] for tensor in self.tensors)
            if generator is not None:
                mirrored = torch.rand(len(some), generator=generator) < 0.5
                images[mirrored] = images[mirrored].flip(-1)
            yield images.contiguous(memory_format=torch.channels_last), *others
