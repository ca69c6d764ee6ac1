"""What the sequence recommenders share: fitting a network on histories, on one device, and its picks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytorch_lightning as pl
import torch
from torch import Tensor

from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.platform.lightning import fit
from jobs.recommenders.events import Events, Reading, events_of
from jobs.recommenders.recommender import State, TrainingContext, rows_and_codes
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Floats, TopK, empty_topk
from jobs.retrieval.two_tower import NearestArticles
from lightning_modules.next_article import NextArticle
from lightning_modules.sessions import Cut, EventDataModule, EventTensors

#: Customers whose events are run through at once.
BLOCK = 2048

#: Builds a network from the articles' counts of events, their features and a seed.
Build = Callable[[Tensor, Tensor, int], NextArticle]


def fit_network(
    known: TrainingContext, reading: Reading, with_features: bool, name: str, build: Build, cut: Cut
) -> Sequences:
    """Train a network on all pairs of an event and the next one.

    Args:
        name: of this kind of fit: its checkpoints are in a folder of that name and the as-of date.
        build: the network; its random first weights depend on the seed alone.
        cut: an epoch's batches.

    Raises:
        JobError: nobody has two events, or there are no features and `with_features` is set.
    """
    if with_features and not known.features.shape[1]:
        raise JobError(f"{name}: the articles have no side features; choose the system without them")
    events = events_of(known.history.before(known.as_of_date), reading)
    if not (events.counts > 1).any():
        raise JobError(
            f"silver/transactions: nobody bought twice before {known.as_of_date}, and a sequence recommender learns "
            "from what was bought next; check --data and --as-of-date"
        )
    counts = np.bincount(events.article, minlength=len(known.history.article_ids))
    articles = np.flatnonzero(counts).astype(np.int32)
    row = np.cumsum(counts > 0) - 1
    tensors = EventTensors(torch.from_numpy(events.offsets), torch.from_numpy(row[events.article]))
    features = known.features if with_features else known.features[:, :0]
    pl.seed_everything(known.seed, verbose=False)
    network = build(torch.from_numpy(counts[articles]), torch.from_numpy(features[articles]), known.seed)
    network, _ = fit(network, EventDataModule(tensors, cut), known.epochs, known.folder / f"{name}-{known.as_of_date}")
    return Sequences(network, known.history.article_ids.take(pa.array(articles)), features, reading)


def restored_network(kind: type[NextArticle], state: State) -> Sequences:
    """The fitted network of this kind that was saved."""
    tensors = {name: torch.from_numpy(array) for name, array in state.arrays.items()}
    counts, options = tensors.pop("counts"), dict(state.options)
    features, reading = torch.empty(len(counts), 0), options.pop("reading")
    network = kind(counts=counts, features=features, **options)
    network.load_state_dict(tensors)
    return Sequences(network.eval(), state.articles, features.numpy(), reading)


@dataclass(frozen=True)
class Sequences:
    """A fitted network of the next article.

    An article that was not sold before the fit is represented by its features alone. Without features it is never
    picked, and a customer's events are those of the other articles.

    Attributes:
        network: fitted, in evaluation mode.
        trained: ids of the articles that it was fitted on, ascending.
        features: of every article by code, as of the fit, (articles, d); d = 0 without.
        reading: what an event is.
    """

    network: NextArticle
    trained: pa.StringArray
    features: Floats
    reading: Reading

    def at(self, history: Purchases, as_of_date: date, count: int) -> NextArticles:
        history = history.before(as_of_date)
        network = self.network.to("cuda" if torch.cuda.is_available() else "cpu")
        vectors, biases, is_known = self._articles(network, history)
        items = torch.cat([vectors, biases[:, None]], dim=1).cpu().numpy()
        nearest = NearestArticles(items, history.articles_on_sale() & is_known)
        events = events_of(history, self.reading)
        return NextArticles(network, vectors, only(events, is_known), nearest, count)

    def state(self) -> State:
        """Of a network without features: they are of the catalogue that the fit found."""
        assert not self.features.shape[1], "features of articles are not kept"
        options = {name: value for name, value in self.network.hparams.items() if name not in ("counts", "features")}
        arrays = {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        counts = self.network.vectors.counts.cpu().numpy()
        return State(self.trained, arrays | {"counts": counts}, options | {"reading": self.reading})

    @torch.inference_mode()
    def _articles(self, network: NextArticle, history: Purchases) -> tuple[Tensor, Tensor, npt.NDArray[np.bool_]]:
        """By code: vectors, biases, and whether they mean anything."""
        rows, codes = rows_and_codes(self.trained, history)
        is_trained = np.zeros(len(history.article_ids), dtype=bool)
        is_trained[codes] = True
        inner = network.vectors
        vectors = inner.all().new_zeros(len(is_trained), inner.all().shape[1])
        biases = vectors.new_zeros(len(vectors))
        trained, row = (torch.from_numpy(of).to(vectors.device) for of in (is_trained, rows))
        vectors[trained], biases[trained] = inner.all()[row], inner.bias[row]
        if not self.features.shape[1]:
            return vectors, biases, is_trained
        vectors[~trained], biases[~trained] = inner.unseen(torch.from_numpy(self.features[~is_trained]).to(vectors))
        return vectors, biases, np.ones_like(is_trained)


def only(events: Events, articles: npt.NDArray[np.bool_]) -> Events:
    """The events of some of the articles, given as a mask over their codes."""
    kept = articles[events.article]
    before = np.concatenate([[0], np.cumsum(kept)])
    return Events(before[events.offsets], events.article[kept], events.day[kept])


class NextArticles:
    """A source: the articles on sale with the largest logits after all of a customer's events.

    Args:
        vectors: of every article by code, as an input.
        nearest: searches the articles that may be picked, whose vectors end in their bias.
    """

    def __init__(
        self, network: NextArticle, vectors: Tensor, events: Events, nearest: NearestArticles, count: int
    ) -> None:
        self._network, self._vectors, self._nearest, self._count = network, vectors, nearest, count
        self._article = torch.from_numpy(events.article).to(vectors.device)
        self._offsets = events.offsets

    def of(self, customers: Ints) -> TopK:
        found = empty_topk(len(customers), self._count)
        has_events = np.flatnonzero(self._offsets[customers + 1] > self._offsets[customers])
        for first in range(0, len(has_events), BLOCK):
            rows = has_events[first : first + BLOCK]
            found.articles[rows], found.scores[rows] = self._nearest.of(
                self._queries(customers[rows]), None, self._count
            )
        return found

    @torch.inference_mode()
    def _queries(self, customers: Ints) -> Floats:
        """The customers' states, and a one that takes in the articles' biases."""
        start, end = (torch.from_numpy(self._offsets[of]).to(self._vectors.device) for of in (customers, customers + 1))
        states = self._network.after(self._vectors, self._article, start, end - start)
        queries: Floats = torch.nn.functional.pad(states, (0, 1), value=1.0).cpu().numpy()
        return queries
