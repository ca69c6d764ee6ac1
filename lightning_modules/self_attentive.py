"""A self-attentive network of the next article, which looks at a customer's last events.

Source: Kang and McAuley, Self-Attentive Sequential Recommendation (SASRec, ICDM 2018), with the loss of Petrov and
Macdonald, gSASRec (RecSys 2023). Departures: articles have a bias that starts at their popularity; the negatives, drawn
uniformly, are shared by a batch, so that many more of them cost little; windows begin at position 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.layers import Batch
from lightning_modules.next_article import SIZE, NextArticle, gbce

#: Events that the network looks back on.
WINDOW = 50
#: Negatives that a batch shares: all articles where they are no more; and gSASRec's calibration.
NEGATIVES, CALIBRATION = 512, 0.75
BLOCKS, HEADS, DROPOUT = 2, 2, 0.2


class SelfAttentive(NextArticle):
    """Blocks of causal self-attention between the articles' vectors, which the output is tied to.

    Args:
        counts, features, seed: as for `NextArticle`.
        window: events that it looks back on.
        negatives: that a batch shares.
        calibration: t of the loss; 0 is plain binary cross-entropy.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        counts: Tensor,
        features: Tensor,
        seed: int,
        window: int = WINDOW,
        negatives: int = NEGATIVES,
        calibration: float = CALIBRATION,
        learning_rate: float = 0.001,
    ) -> None:
        super().__init__(counts, features, seed, learning_rate)
        self.save_hyperparameters()
        self.articles, self.window, self.negatives, self.calibration = len(counts), window, negatives, calibration
        self.positions = nn.Parameter(torch.randn(window, SIZE) * SIZE**-0.5)
        self.dropout = nn.Dropout(DROPOUT)
        block = nn.TransformerEncoderLayer(SIZE, HEADS, SIZE, DROPOUT, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, BLOCKS, nn.LayerNorm(SIZE), enable_nested_tensor=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, length, SIZE) vectors of events to the state after each; what follows an event does not reach it."""
        length = vectors.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=vectors.device)
        placed = self.dropout(vectors * SIZE**0.5 + self.positions[:length])
        states: Tensor = self.blocks(placed, mask=mask, is_causal=True)
        return states

    def states(self, batch: Batch) -> Tensor:
        return self(self.vectors(batch["inputs"]))

    def losses(self, states: Tensor, targets: Tensor) -> Tensor:
        others, device = max(self.articles - 1, 1), states.device
        if self.negatives < others:
            drawn = torch.randint(self.articles, (self.negatives,), device=device)
        else:
            drawn = torch.arange(self.articles, device=device)
        return gbce(
            self.own_logits(states, targets),
            self.logits(states, drawn),
            drawn == targets[:, None],
            rate=min(self.negatives / others, 1),
            t=self.calibration,
        )

    def after(self, table: Tensor, article: Tensor, start: Tensor, count: Tensor) -> Tensor:
        """The last window of a customer's events, as the last one in training."""
        kept = count.clamp(max=self.window)
        within = torch.arange(int(kept.max()), device=count.device)
        event = (start + count - kept)[:, None] + within
        states = self(table[article[torch.where(within < kept[:, None], event, 0)]])
        return states[torch.arange(len(kept), device=count.device), kept - 1]
