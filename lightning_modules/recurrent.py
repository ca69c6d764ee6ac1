"""A recurrent network of the next article, whose state is carried through all of a customer's events.

Source: "FOR: Fashion Online Recommendation-system" (embedding 128, window 10, lag 1), after GRU4Rec: Hidasi et al.,
Session-based Recommendations with Recurrent Neural Networks (2016). The output is tied to the embedding (Hidasi and
Karatzoglou, 2018: constrained embeddings).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.layers import Batch
from lightning_modules.next_article import SIZE, NextArticle, sampled_softmax

Cell = Literal["rnn", "lstm", "gru"]
CELLS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
#: The softmax is over all articles where there are at most so many, else over DRAWN ones that a batch shares.
FULL_SOFTMAX, DRAWN = 20_000, 2048

#: Hidden state, and the LSTM's cell state beside it, each (n, SIZE).
State = tuple[Tensor, ...]


class Recurrent(NextArticle):
    """One recurrent layer between the articles' vectors.

    Args:
        cell: "rnn" (tanh), "lstm" or "gru".
        counts, features, seed: as for `NextArticle`.
        full_softmax, drawn: the softmax is over all articles up to so many, else over so many drawn ones.
        learning_rate: of Adam.
    """

    draws: Tensor

    def __init__(
        self,
        cell: Cell,
        counts: Tensor,
        features: Tensor,
        seed: int,
        full_softmax: int = FULL_SOFTMAX,
        drawn: int = DRAWN,
        learning_rate: float = 0.001,
    ) -> None:
        super().__init__(counts, features, seed, learning_rate)
        self.save_hyperparameters()
        self.cell = CELLS[cell](SIZE, SIZE)
        self.parts = 2 if cell == "lstm" else 1
        self.full_softmax, self.drawn = len(counts) <= full_softmax, drawn
        self.events = int(counts.sum())
        # Whole numbers: a share of 1 in 30 million is lost in floats.
        self.register_buffer("draws", counts.cumsum(0), persistent=False)
        self._carried: State | None = None

    def start_epoch(self, epoch: int) -> None:
        super().start_epoch(epoch)
        self._carried = None

    def step(self, vectors: Tensor, state: State) -> State:
        """The state after one event each: vectors (n, SIZE)."""
        after = self.cell(vectors, state if self.parts == 2 else state[0])
        return after if self.parts == 2 else (after,)

    def beginning(self, customers: int) -> State:
        """The state before any event."""
        return tuple(self.vectors.bias.new_zeros(customers, SIZE) for _ in range(self.parts))

    def forward(self, inputs: Tensor, reset: Tensor, state: State) -> tuple[Tensor, State]:
        """Run through (lanes, window) inputs from a state.

        Args:
            reset: inputs before which the state is that of the beginning, (lanes, window).

        Returns:
            The hidden state after each input, (lanes, window, SIZE), and the state after the last ones.
        """
        hidden = []
        keep = (~reset).to(state[0].dtype)
        for vectors, kept in zip(self.vectors(inputs).unbind(1), keep.unbind(1), strict=True):
            state = self.step(vectors, tuple(part * kept[:, None] for part in state))
            hidden.append(state[0])
        return torch.stack(hidden, dim=1), state

    def states(self, batch: Batch) -> Tensor:
        """Goes on from the batch before, whose history is not learned through again."""
        state = self._carried or self.beginning(len(batch["inputs"]))
        hidden, state = self(batch["inputs"], batch["reset"], state)
        self._carried = tuple(part.detach() for part in state)
        return hidden

    def losses(self, states: Tensor, targets: Tensor) -> Tensor:
        if self.full_softmax:
            logits = F.linear(states, self.vectors.all(), self.vectors.bias)
            return F.cross_entropy(logits, targets, reduction="none")
        drawn, log_expected = self.draw()
        return sampled_softmax(
            self.own_logits(states, targets), self.logits(states, drawn), log_expected, drawn == targets[:, None]
        )

    def draw(self) -> tuple[Tensor, Tensor]:
        """Articles from the training distribution, and the log of how often each is expected among them, (drawn,)."""
        events = torch.randint(self.events, (self.drawn,), device=self.draws.device)
        drawn = torch.searchsorted(self.draws, events, right=True)
        return drawn, torch.log(self.vectors.counts[drawn]) + math.log(self.drawn / self.events)

    def after(self, table: Tensor, article: Tensor, start: Tensor, count: Tensor) -> Tensor:
        """All of a customer's events are run through, as in training."""
        # The longest first: who has ended is behind those who go on.
        count, order = count.sort(descending=True)
        start = start[order]
        state = self.beginning(len(order))
        ends = torch.searchsorted(-count, -torch.arange(int(count.max()), device=count.device)).tolist()
        for nth, going_on in enumerate(ends):
            moved = self.step(table[article[start[:going_on] + nth]], tuple(part[:going_on] for part in state))
            for part, new in zip(state, moved, strict=True):
                part[:going_on] = new
        return state[0][torch.argsort(order)]
