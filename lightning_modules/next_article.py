"""What networks of the next article share: the articles' vectors, the loss, and how an epoch begins.

Full softmax: cross-entropy over all articles. Sampled softmax: over the target and articles drawn from the training
distribution, each drawn one divided by how often it is expected (logQ; Bengio and Senecal 2008), so that the sum
estimates that over all articles.
"""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.layers import Batch, EpochMean

#: Of an article's vector and of the state that it is multiplied with.
SIZE = 128
#: The softmax is over all articles where there are at most so many, else over DRAWN ones that a batch shares.
FULL_SOFTMAX, DRAWN = 20_000, 2048


class ArticleVectors(nn.Module):
    """A vector and a bias for each article; the same vectors go in and are scored (tied).

    The biases start at the articles' popularity. With side features an article's vector is a learned one, which starts
    at zero, plus a projection of its features: an article that was never trained is represented by its features alone.

    Args:
        counts: events of each article, (articles,) int64.
        features: numbers of each article, (articles, d) float32; d may be 0.
    """

    counts: Tensor
    features: Tensor

    def __init__(self, counts: Tensor, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("features", features, persistent=False)
        self.ids = nn.Embedding(len(counts), SIZE)
        self.projection = nn.Linear(features.shape[1], SIZE, bias=False) if features.shape[1] else None
        # Vectors begin about one long, from whichever part.
        if self.projection is None:
            nn.init.normal_(self.ids.weight, std=SIZE**-0.5)
        else:
            nn.init.zeros_(self.ids.weight)
            nn.init.normal_(self.projection.weight, std=(features.shape[1] * SIZE) ** -0.5)
        self.bias = nn.Parameter(self.prior(counts))

    def prior(self, counts: Tensor) -> Tensor:
        """Log of how many times as often as the average article those of these counts are bought, smoothed by one."""
        mean = (int(self.counts.sum()) + len(self.counts)) / len(self.counts)
        return torch.log((counts + 1) / mean)

    def forward(self, articles: Tensor) -> Tensor:
        """(...) articles to (..., SIZE)."""
        vectors: Tensor = self.ids(articles)
        return vectors if self.projection is None else vectors + self.projection(self.features[articles])

    def all(self) -> Tensor:
        """The vectors of all articles, (articles, SIZE)."""
        return self.ids.weight if self.projection is None else self.ids.weight + self.projection(self.features)

    def unseen(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (n, SIZE) and biases (n,) of articles that were never bought, by their features (n, d)."""
        assert self.projection is not None, "without features nothing is known of an unseen article"
        return self.projection(features), self.prior(self.counts.new_zeros(len(features)))


def sampled_softmax(own: Tensor, drawn: Tensor, log_expected: Tensor, is_target: Tensor) -> Tensor:
    """Cross-entropy of each target against the articles drawn, (n,).

    Args:
        own: logits of the targets, (n,).
        drawn: logits of k drawn articles, (n, k).
        log_expected: log of how often each of those is expected among k, (k,).
        is_target: draws that are the target itself, which do not count, (n, k).
    """
    others = (drawn - log_expected).masked_fill(is_target, -torch.inf)
    return torch.cat([own[:, None], others], dim=1).logsumexp(dim=1) - own


class NextArticle(pl.LightningModule):
    """A network that says which article a customer buys next. Subclasses give `states` and `after`.

    Args:
        counts, features: of the articles' vectors.
        seed: of what an epoch draws, with its number.
        full_softmax, drawn: the softmax is over all articles up to so many, else over so many drawn ones.
        learning_rate: of Adam.
    """

    draws: Tensor

    def __init__(
        self,
        counts: Tensor,
        features: Tensor,
        seed: int,
        full_softmax: int = FULL_SOFTMAX,
        drawn: int = DRAWN,
        learning_rate: float = 0.001,
    ) -> None:
        super().__init__()
        self.vectors = ArticleVectors(counts, features)
        self.full_softmax, self.drawn = len(counts) <= full_softmax, drawn
        self.events = int(counts.sum())
        # Whole numbers: a share of 1 in 30 million is lost in floats.
        self.register_buffer("draws", counts.cumsum(0), persistent=False)
        self.seed, self.learning_rate = seed, learning_rate
        self.mean_loss = EpochMean()

    def states(self, batch: Batch) -> Tensor:
        """The state after each input, whose products with the articles' vectors are their logits, (..., SIZE)."""
        raise NotImplementedError

    def after(self, table: Tensor, article: Tensor, start: Tensor, count: Tensor) -> Tensor:
        """The state after each customer's events, (n, SIZE).

        Args:
            table: vectors of articles, (articles, SIZE).
            article: rows of it, of all events, (events,).
            start, count: first event of each customer, and how many follow one another from there, (n,); at least one.
        """
        raise NotImplementedError

    def logits(self, states: Tensor, articles: Tensor) -> Tensor:
        """Each state's logits of the same articles, (n, k)."""
        return F.linear(states, self.vectors(articles), self.vectors.bias[articles])

    def own_logits(self, states: Tensor, targets: Tensor) -> Tensor:
        """Each state's logit of its own target, (n,)."""
        return (states * self.vectors(targets)).sum(dim=1) + self.vectors.bias[targets]

    def losses(self, states: Tensor, targets: Tensor) -> Tensor:
        """The loss of each state (n, SIZE) and the article bought next (n,), (n,)."""
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

    def loss(self, batch: Batch) -> Tensor:
        """The mean over the batch's valid pairs."""
        losses = self.losses(self.states(batch).flatten(0, 1), batch["targets"].flatten())
        valid = batch["valid"].flatten()
        return torch.where(valid, losses, 0.0).sum() / valid.sum()

    def start_epoch(self, epoch: int) -> None:
        """What the epoch draws depends on nothing but seed and epoch, so that a resumed fit repeats it."""
        torch.manual_seed(self.seed + epoch)

    def on_train_epoch_start(self) -> None:
        self.start_epoch(self.current_epoch)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        loss = self.loss(batch)
        self.mean_loss.add(loss, 1)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", self.mean_loss.take())

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
