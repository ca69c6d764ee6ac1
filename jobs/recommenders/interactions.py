"""What customers and visitors met lately as a matrix of weights: what they bought, and what else they did in the shop.

A purchase of silver/transactions weighs as `weights` has it; an event of silver/events as its mapping says, beside a
purchase's own weight, and for a shorter time: what one looks at passes sooner than what one buys. Of a customer's
purchases only those of silver/transactions count, since the log has the same ones again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from expectations.events import EVENTS
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.job import Job
from jobs.recommenders.event_weights import EVENT_DAYS, EVENT_HALF_LIFE_DAYS, WEIGHTS
from jobs.recommenders.weights import weights
from jobs.retrieval.purchases import Purchases, day_number

#: Events that say something of who did them: what was only shown does not.
TYPES = tuple(name for name, weight in WEIGHTS.items() if weight > 0)
#: How `Shoppers.others` and sessions name whom they are of.
CUSTOMER, VISITOR = "c:", "v:"

_COLUMNS = ["event_date", "event_type", "weight", "customer_id", "visitor_id", "article_id"]


@dataclass(frozen=True)
class Shoppers:
    """Everybody who met an article: the customers by their codes, then whoever else did something in the shop.

    Attributes:
        weight: (shoppers, articles) float32.
        others: of the shoppers after the customers, `c:` and an id that silver/customers lacks, or `v:` and a visitor.
        last_day: day of the last purchase or event, days since 1970-01-01, (shoppers,); 0 for none.
        has_events: whether events count for the shopper, (shoppers,).
    """

    weight: sparse.csr_matrix
    others: pa.StringArray
    last_day: Ints
    has_events: npt.NDArray[np.bool_]

    def active(self, as_of_date: date, days: int) -> Ints:
        """Codes of those who met something in the last so many days."""
        return np.flatnonzero(self.last_day >= day_number(as_of_date) - days).astype(np.int32)


def events_before(job: Job | None, as_of_date: date) -> pa.Table:
    """The events that count as of a date; none without a job, or a log. The job declares silver/events."""
    if job is None or not job.exists(EVENTS):
        return pa.table({name: pa.array([], pa.string()) for name in _COLUMNS})
    days = [as_of_date - timedelta(days=n) for n in range(1, EVENT_DAYS + 1)]
    return job.read_arrow(EVENTS, _COLUMNS, where={"event_date": days, "event_type": list(TYPES)})


def shoppers(history: Purchases, events: pa.Table, as_of_date: date) -> Shoppers:
    """Who met what, and how much that counts as of a date.

    Args:
        history: purchases; those on or after the date do not count.
        events: rows of silver/events; likewise.

    Raises JobError where nothing was bought: what is on sale is then unknown.
    """
    past = history.before(as_of_date)
    bought = weights(past, as_of_date)
    rows, customer, article = _known(events, past, as_of_date)
    whose = pc.coalesce(
        pc.binary_join_element_wise(CUSTOMER, rows["customer_id"], ""),
        pc.binary_join_element_wise(VISITOR, rows["visitor_id"], ""),
    ).filter(pa.array(customer < 0))
    others = pc.unique(whose)
    others = others.take(pc.array_sort_indices(others))
    shopper = customer.astype(np.int64)
    shopper[customer < 0] = pc.index_in(whose, value_set=others).to_numpy() + bought.shape[0]
    day = _days(rows)
    shape = bought.shape[0] + len(others), bought.shape[1]
    met = sparse.csr_matrix((_values(rows, as_of_date), (shopper, article)), shape=shape)
    last_day = np.zeros(shape[0], dtype=np.int32)
    last_day[past.customer] = past.day  # ascending: the last one stays
    np.maximum.at(last_day, shopper, day)
    has_events = np.zeros(shape[0], dtype=bool)
    has_events[shopper] = True
    bought.resize(shape)
    return Shoppers((bought + met).tocsr(), others, last_day, has_events)


def customers_events(history: Purchases, events: pa.Table, as_of_date: date) -> sparse.csr_matrix:
    """What customers met beside what they bought: the events' part of `shoppers`, (customers, articles) float32."""
    rows, customer, article = _known(events, history, as_of_date)
    of_customer = customer >= 0
    shape = len(history.customer_ids), len(history.article_ids)
    value = _values(rows, as_of_date)[of_customer]
    return sparse.csr_matrix((value, (customer[of_customer], article[of_customer])), shape=shape)


def _values(events: pa.Table, as_of_date: date) -> npt.NDArray[np.float32]:
    """What each event weighs as of a date; a purchase weighs 1 on the day itself."""
    decay = np.exp2(-(day_number(as_of_date) - _days(events)) / EVENT_HALF_LIFE_DAYS)
    return (events["weight"].cast(pa.float64()).to_numpy() / WEIGHTS["purchase"] * decay).astype(np.float32)


def _days(events: pa.Table) -> Ints:
    return events["event_date"].cast(pa.date32()).cast(pa.int32()).to_numpy()


def _known(events: pa.Table, history: Purchases, as_of_date: date) -> tuple[pa.Table, Ints, Ints]:
    """The events before the date that count, each once, with customer (or -1) and article.

    Those are the ones of articles in the catalogue that weigh something.
    """
    events = events.filter(pc.less(events["event_date"].cast(pa.date32()), pa.scalar(as_of_date, pa.date32())))
    article = pc.index_in(events["article_id"], value_set=history.article_ids)
    customer = pc.index_in(events["customer_id"], value_set=history.customer_ids)
    is_twice = pc.and_(pc.equal(events["event_type"], "purchase"), pc.is_valid(customer))
    weighs = pc.greater(events["weight"].cast(pa.float64()), 0)
    kept = pc.and_(pc.and_(pc.is_valid(article), weighs), pc.invert(is_twice))
    codes = [column.filter(kept).fill_null(NO_ARTICLE).cast(pa.int32()).to_numpy() for column in (customer, article)]
    return events.filter(kept), codes[0], codes[1]
