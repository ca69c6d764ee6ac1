"""A recurrent network of the next article, whose state is carried through all of a customer's events.

Source: "FOR: Fashion Online Recommendation-system" (embedding 128, window 10, lag 1), after GRU4Rec: Hidasi et al.,
Session-based Recommendations with Recurrent Neural Networks (2016). The output is tied to the embedding (Hidasi and
Karatzoglou, 2018: constrained embeddings).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.layers import Batch
from lightning_modules.next_article import SIZE, NextArticle

Cell = Literal["rnn", "lstm", "gru"]
CELLS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}

#: Hidden state, and the LSTM's cell state beside it, each (n, SIZE).
State = tuple[Tensor, ...]


class Recurrent(NextArticle):
    """One recurrent layer between the articles' vectors.

    Args:
        cell: "rnn" (tanh), "lstm" or "gru".
        counts, features, seed, others: as for `NextArticle`.
    """

    def __init__(
        self,
        cell: Cell,
        counts: Tensor,
        features: Tensor,
        seed: int,
        **others: Any,
    ) -> None:
        super().__init__(counts, features, seed, **others)
        self.save_hyperparameters()
        self.cell = CELLS[cell](SIZE, SIZE)
        self.parts = 2 if cell == "lstm" else 1
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
