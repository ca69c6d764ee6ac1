"""Event lists cut into batches: session-parallel ones that carry a state, and windows for networks without one.

Both give every pair of an event and the next one of the same customer exactly once in each epoch, and none across
customers. Epochs are shuffled by seed and epoch alone, so that a resumed fit repeats them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.layers import Batch


@dataclass(frozen=True)
class EventTensors:
    """The events of all customers, one list after the other.

    Attributes:
        offsets: the events of customer c are those from offsets[c] to offsets[c + 1]; (customers + 1,) int64, on the
            processor: epochs are planned there, so that every device sees the same order.
        article: of each event, (events,) int64, on any device.
    """

    offsets: Tensor
    article: Tensor

    @property
    def pairs(self) -> Tensor:
        """Pairs of an event and the next one that each customer has, (customers,)."""
        return (self.offsets.diff() - 1).clamp(min=0)

    def to(self, device: torch.device) -> EventTensors:
        """The same events with the articles on a device."""
        return EventTensors(self.offsets, self.article.to(device))


def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """The numbers below `count` in the order of that epoch."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed + epoch))


class SessionBatches:
    """One epoch of session-parallel mini-batches (Hidasi et al., Session-based Recommendations with RNNs, 2016).

    Every lane runs through one customer after the other; a batch is the next `window` pairs of every lane. Lanes are
    equally long but for the last customer of each, who is not split.

    Each batch maps, all of shape (lanes, window):
        inputs, targets: articles of an event and of the customer's next one, int64.
        reset: whether the input is its customer's first event, so that a state carried so far is another customer's.
        valid: whether the lane still runs; what it holds elsewhere means nothing.
    """

    def __init__(self, events: EventTensors, lanes: int, window: int, seed: int, epoch: int) -> None:
        self.events, self.window = events, window
        device, pairs = events.article.device, events.pairs
        customers = pairs.nonzero().squeeze(1)
        customers = customers[shuffled(len(customers), seed, epoch)]
        lanes = min(lanes, len(customers))
        count = pairs[customers]
        # Place of each customer's first pair, where all customers are in one row.
        start = count.cumsum(0) - count
        total = int(count.sum())
        first_of_lane = torch.searchsorted(start * lanes // max(total, 1), torch.arange(lanes + 1))
        bounds = torch.cat([start, torch.tensor([total])])[first_of_lane]
        self._steps = -(-int(bounds.diff().max()) // window) if lanes else 0
        self._start, self._end = bounds[:-1, None].to(device), bounds[1:, None].to(device)
        # The event that is the input of each place.
        self._event = (torch.repeat_interleave(events.offsets[customers] - start, count) + torch.arange(total)).to(
            device
        )
        is_first = torch.zeros(len(events.article) + 1, dtype=torch.bool)
        is_first[events.offsets[:-1]] = True
        self._is_first = is_first.to(device)

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        within = torch.arange(self.window, device=self._event.device)
        for step in range(self._steps):
            place = self._start + step * self.window + within
            valid = place < self._end
            event = self._event[torch.where(valid, place, 0)]
            yield {
                "inputs": self.events.article[event],
                "targets": self.events.article[event + 1],
                "reset": self._is_first[event],
                "valid": valid,
            }


class WindowBatches:
    """One epoch of windows of at most `window` pairs, each of one customer; the last of a customer is the full one.

    A batch holds windows of about the same length. It maps inputs, targets and valid as SessionBatches', of shape
    (windows, length of the longest); shorter windows are padded at their right.
    """

    def __init__(self, events: EventTensors, windows: int, window: int, seed: int, epoch: int) -> None:
        self.events = events
        device, pairs = events.article.device, events.pairs
        count = -(-pairs // window)
        customer = torch.repeat_interleave(torch.arange(len(pairs)), count)
        nth_last = torch.repeat_interleave(count.cumsum(0), count) - torch.arange(len(customer)) - 1
        end = pairs[customer] - nth_last * window
        start = (end - window).clamp(min=0)
        length = end - start
        order = shuffled(len(customer), seed, epoch)
        order = order[torch.argsort(length[order], stable=True)]
        batches = order.split(windows) if len(order) else ()
        self._batches = [batches[i] for i in shuffled(len(batches), seed, epoch)]
        self._longest = [int(length[rows[-1]]) for rows in self._batches]
        self._length = length.to(device)
        self._first = (events.offsets[customer] + start).to(device)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        device = self._first.device
        for rows, longest in zip(self._batches, self._longest, strict=True):
            rows, within = rows.to(device), torch.arange(longest, device=device)
            valid = within < self._length[rows, None]
            event = torch.where(valid, self._first[rows, None] + within, 0)
            yield {"inputs": self.events.article[event], "targets": self.events.article[event + 1], "valid": valid}


#: Cuts one epoch's batches of these events, given the epoch's number.
Cut = Callable[[EventTensors, int], SessionBatches | WindowBatches]


class EventDataModule(pl.LightningDataModule):
    """The events of one fit, moved to the trainer's device once; every epoch cuts its batches there."""

    def __init__(self, events: EventTensors, cut: Cut) -> None:
        super().__init__()
        self.events, self._cut = events, cut

    def setup(self, stage: str) -> None:
        if self.trainer:
            self.events = self.events.to(self.trainer.strategy.root_device)

    def train_dataloader(self) -> SessionBatches | WindowBatches:
        return self._cut(self.events, self.trainer.current_epoch if self.trainer else 0)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Nothing to move: looking through every batch for tensors costs as much as a small step."""
        return batch
