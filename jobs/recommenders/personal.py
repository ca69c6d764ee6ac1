"""Personal picks for a visitor's last events, now: for the shop window, without Spark, torch or MLflow.

    PersonalPicks.open("warehouse").pick([Met("0108775015"), Met("0372860001", "cart")], top=12)

It reads gold/personal_vectors once. What it then answers is what embedding_<space> answers: articles nearest to the
decayed weighted mean of what the visitor met.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.personal import PERSONAL_VECTORS
from jobs.platform.errors import JobError
from jobs.platform.tables import Tables
from jobs.recommenders.event_weights import EVENT_HALF_LIFE_DAYS, WEIGHTS

Floats = npt.NDArray[np.float32]
#: Of many events the last ones count.
LATEST = 200
_SECONDS_A_DAY = 86_400


class Met(NamedTuple):
    """An event: the article, what was done, and when (UTC where no zone is given; None: now)."""

    article_id: str
    event_type: str = "view"
    event_time: datetime | None = None


class Pick(NamedTuple):
    """An article, and its cosine with the visitor's taste."""

    article_id: str
    score: float


@dataclass(frozen=True)
class PersonalPicks:
    """The vectors in memory; `pick` may be called from several threads.

    Attributes:
        as_of_date: what can be picked is of this date.
        model_version: encoder version of the vectors.
        article_ids: those that can be picked, then the others; ascending among each.
        places: article id -> its place there.
        shelf_size: how many can be picked.
        vectors: of each article, of length 1, (articles, d).
    """

    as_of_date: date
    model_version: str
    article_ids: list[str]
    places: dict[str, int]
    shelf_size: int
    vectors: Floats

    @classmethod
    def open(cls, warehouse: str) -> PersonalPicks:
        """The newest vectors of a warehouse; JobError where it has none yet."""
        tables = Tables(warehouse, {})
        dates = sorted(p["as_of_date"] for p in tables.partitions(PERSONAL_VECTORS))
        if not dates:
            raise JobError(f"{tables.uri(PERSONAL_VECTORS)}: nothing there; run publish.personal_picks first")
        newest = date.fromisoformat(dates[-1])
        return cls.of(tables.read_arrow(PERSONAL_VECTORS, where={"as_of_date": [newest]}), newest)

    @classmethod
    def of(cls, rows: pa.Table, as_of_date: date) -> PersonalPicks:
        """From rows of gold/personal_vectors."""
        rows = rows.sort_by([("is_available", "descending"), ("article_id", "ascending")])
        found = rows["vector"].combine_chunks().flatten().to_numpy()
        vectors = np.ascontiguousarray(found.reshape(len(rows), -1), dtype=np.float32)
        ids = rows["article_id"].to_pylist()
        shelf_size = pc.sum(rows["is_available"]).as_py()
        version = rows["model_version"][0].as_py()
        return cls(as_of_date, version, ids, {one: n for n, one in enumerate(ids)}, shelf_size, vectors)

    def pick(self, events: Sequence[Met], top: int = 12) -> list[Pick]:
        """The `top` articles nearest to the taste that these events tell, none of them met; the best first.

        Nothing where no event is of an article with a vector.
        """
        latest = [event for event in events if WEIGHTS.get(event.event_type, 0) > 0][-LATEST:]
        known = [(event, self.places[event.article_id]) for event in latest if event.article_id in self.places]
        if not known:
            return []
        rows = np.array([place for _, place in known])
        weight = np.array([WEIGHTS[event.event_type] for event, _ in known])
        weight *= np.exp2(-_ages([event for event, _ in known]) / EVENT_HALF_LIFE_DAYS)
        taste = (weight @ self.vectors[rows]).astype(np.float32)
        scores = self.vectors[: self.shelf_size] @ taste / np.float32(np.linalg.norm(taste) or 1)
        scores[rows[rows < self.shelf_size]] = -np.inf
        count = min(top, int(np.isfinite(scores).sum()))
        if not count:
            return []
        best = np.argpartition(scores, -count)[-count:]
        best = best[np.lexsort((best, -scores[best]))]
        return [Pick(self.article_ids[place], float(scores[place])) for place in best.tolist()]


def _ages(events: Sequence[Met]) -> npt.NDArray[np.float64]:
    """Days from each event to the last one."""
    now = datetime.now(UTC).timestamp()
    at = np.array([now if event.event_time is None else _moment(event.event_time) for event in events])
    return (at.max(initial=0.0) - at) / _SECONDS_A_DAY


def _moment(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
