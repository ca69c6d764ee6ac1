"""The first stage applied: every candidate source, the fitted towers among them, ready for any customer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.pairs import Tastes, pair_columns
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.recommenders.recommender import Model
from jobs.retrieval.candidates import HeuristicSources, Merged, merge
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import TopK
from jobs.retrieval.two_tower import COUNT, NearestArticles
from jobs.retrieval.two_tower import SOURCE as TWO_TOWER
from lightning_modules.two_tower import TwoTower

#: Customers whose candidates are found, described and ranked together: as many as faiss takes at once.
BLOCK_SIZE = 4096
#: Blocks whose rows are checked and written together.
BLOCKS_WRITTEN = 16


def require_finite(what: str, *values: np.ndarray | Tensor) -> None:
    """Raise JobError where a number of the model is not finite: nothing it says may be registered or published."""
    arrays = [np.asarray(value) for value in values]
    if broken := sum(int(np.count_nonzero(~np.isfinite(array))) for array in arrays):
        count = sum(array.size for array in arrays)
        raise JobError(
            f"{what}: {broken:,} of {count:,} are not finite numbers; nothing registered or published. Look for extreme"
            " values among the inputs, then train again, or roll back to an earlier version"
        )


def as_tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


@dataclass(frozen=True)
class Candidates:
    """What the sources found for a block of customers.

    Attributes:
        customers: customer codes, (n,).
        tastes: of these customers.
        numeric, categories: their inputs, (n, ...).
        found: per source, what it found.
        merged: the candidates of all sources, each once.
    """

    customers: Ints
    tastes: Tastes
    numeric: Floats
    categories: npt.NDArray[np.int64]
    found: dict[str, TopK]
    merged: Merged


class Retrieval:
    """All candidate sources as of one date; what depends on articles alone is computed once.

    Args:
        inputs: fitted preprocessing of customers and articles, which also says how far their features may reach.
        towers: fitted on days before the snapshot's.
        systems: further sources by name, fitted likewise.
    """

    def __init__(self, inputs: Inputs, towers: TwoTower, systems: Mapping[str, Model], snapshot: Snapshot) -> None:
        self.inputs = inputs
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._towers = towers.to(self.device).eval()
        with ThreadPoolExecutor() as pool:
            known = pool.submit(HeuristicSources, snapshot)
            self.snapshot = inputs.within(snapshot)
            self.articles = inputs.article_inputs(self.snapshot)
        self._known = known.result()
        with torch.inference_mode():
            items = self._towers.item_tower(*self.articles.tensors(self.device))
        require_finite("two_tower: vectors of articles", vectors := items.cpu().numpy())
        self._nearest = NearestArticles(vectors, snapshot.on_sale)
        history, as_of_date = snapshot.history, snapshot.as_of_date
        self._systems = {name: model.at(history, as_of_date, COUNT) for name, model in systems.items()}

    @property
    def recent(self) -> RecentPurchases:
        """Every customer's articles before the as-of date."""
        return self._known.recent

    def of(self, customers: Ints, exclude_bought: bool = False) -> Candidates:
        """The candidates of a block of customers; with `exclude_bought` none that the customer bought before."""
        snapshot = self.snapshot
        tastes = Tastes.of(snapshot, customers)
        numeric, categories = self.inputs.customer_inputs(snapshot, tastes)
        bought = self._known.recent.of(customers) if exclude_bought else None
        nearest = self._nearest.of(self._queries(numeric, categories), bought)
        found = self._known.of(customers) | {TWO_TOWER: nearest}
        found |= {name: source.of(customers) for name, source in self._systems.items()}
        merged = merge(found)
        if exclude_bought:
            is_bought = snapshot.bought.units_of(customers[:, None], np.maximum(merged.articles, 0)) > 0
            merged = merged._replace(articles=np.where(is_bought, NO_ARTICLE, merged.articles))
        return Candidates(customers, tastes, numeric, categories, found, merged)

    def nearest(self, customers: Ints, count: int) -> TopK:
        """What the towers alone find."""
        numeric, categories = self.inputs.customer_inputs(self.snapshot, Tastes.of(self.snapshot, customers))
        return self._nearest.of(self._queries(numeric, categories), count=count)

    def _queries(self, numeric: Floats, categories: npt.NDArray[np.int64]) -> Floats:
        """Tower vectors of customers with these inputs."""
        with torch.inference_mode():
            queries = self._towers.query_tower(
                as_tensor(numeric).to(self.device), as_tensor(categories).to(self.device)
            )
        require_finite("two_tower: vectors of customers", vectors := queries.cpu().numpy())
        return vectors

    def columns(self, candidates: Candidates, row: np.ndarray, column: np.ndarray) -> dict[str, Floats]:
        """Pair features, as counted and clipped, of the candidates at these places of `merged`, any one shape.

        Where there is no article the features are those of some article, to be ignored.
        """
        merged = candidates.merged
        article = np.maximum(merged.articles[row, column], 0)
        said = ({source: values[row, column] for source, values in of.items()} for of in (merged.ranks, merged.scores))
        columns = pair_columns(self.snapshot, candidates.tastes, row, article) | source_columns(*said)
        return self.inputs.pairs.clipped(columns)


def source_columns(ranks: Mapping[str, Floats], scores: Mapping[str, Floats]) -> dict[str, Floats]:
    """Inputs from each source's rank and score of the candidates: closeness is 0 and score NaN where it has none."""
    columns = {}
    for source in ranks:
        columns[f"{source}_closeness"] = np.nan_to_num(np.reciprocal(ranks[source]))
        columns[f"{source}_score"] = np.arcsinh(scores[source])
    return columns


def blocks(customers: Ints) -> list[Ints]:
    """Customers cut into blocks."""
    return [customers[start : start + BLOCK_SIZE] for start in range(0, len(customers), BLOCK_SIZE)]


def written_together(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of blocks, BLOCKS_WRITTEN of them in one table, in order."""
    tables = iter(tables)
    while some := list(islice(tables, BLOCKS_WRITTEN)):
        yield pa.concat_tables(some)
