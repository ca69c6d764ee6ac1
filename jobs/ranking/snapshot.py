"""Everything the model may know as of a date: histories, feature tables, attributes and images, aligned by code."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.features import ARTICLE_FEATURES, CUSTOMER_FEATURES, INTERACTION_FEATURES
from expectations.tagging import ARTICLE_TAGS
from jobs.features.predicted_attributes import filled
from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.ranking import behaviour
from jobs.ranking.behaviour import Floats
from jobs.ranking.histories import Bought, affinity_weights
from jobs.ranking.inputs import (
    ARTICLE_CATEGORIES,
    ARTICLE_LOGGED,
    ARTICLE_NUMERIC,
    ARTICLE_PLAIN,
    CUSTOMER_ATTRIBUTES,
    CUSTOMER_CATEGORIES,
    CUSTOMER_LOGGED,
    CUSTOMER_NUMERIC,
    CUSTOMER_PLAIN,
)
from jobs.recommenders.interactions import customers_events, events_before
from jobs.recommenders.weights import bought
from jobs.retrieval.context import SourceContext
from jobs.retrieval.images import image_embeddings
from jobs.retrieval.purchases import PURCHASE_TABLES, Purchases, day_number, encode

#: The tables that a snapshot reads; a job that loads one declares them.
SNAPSHOT_TABLES = (
    *PURCHASE_TABLES,
    CUSTOMER_FEATURES,
    ARTICLE_FEATURES,
    INTERACTION_FEATURES,
    ARTICLE_EMBEDDINGS,
    ARTICLE_TAGS,
)

RECENT_DAYS = 28
#: Leading PCA components that stand for an image where customers and articles are compared.
TASTE_IMAGE_DIM = 32


@dataclass(frozen=True)
class Columns:
    """Features of all customers or all articles, one element per code; NaN or null where unknown."""

    numeric: dict[str, Floats]
    categories: dict[str, pa.Array]


@dataclass(frozen=True)
class Snapshot(SourceContext):
    """What is known as of a date: what the candidate sources know, and the features; nothing dated on or after it.

    Attributes:
        customer_table, article_table: columns of the tables by code.
        events: what customers met beside what they bought, as jobs.recommenders.interactions weighs it; None: purchases
            alone count.
    """

    customer_table: Columns
    article_table: Columns
    events: sparse.csr_matrix | None = None

    @cached_property
    def on_sale(self) -> npt.NDArray[np.bool_]:
        """Articles that may be picked: first sold before the as-of date."""
        return self.history.articles_on_sale()

    @cached_property
    def customers(self) -> Columns:
        """Features by customer code: the tables' columns, and those computed from the history."""
        mean_gap, overdue = behaviour.visit_gaps(self.history, self.as_of_date)
        numeric = self.customer_table.numeric | {
            "repeat_share": behaviour.repeat_share(self.bought, len(self.history.customer_ids)),
            "days_between_visits": mean_gap,
            "visit_overdue": overdue,
            "newness": behaviour.newness(self.history),
        }
        return Columns({name: numeric[name] for name in CUSTOMER_NUMERIC}, self.customer_table.categories)

    @cached_property
    def articles(self) -> Columns:
        """Features by article code: the tables' columns, and those computed from the history."""
        sales = behaviour.sales(self.history, self.as_of_date, 0, behaviour.TREND_DAYS)
        articles = np.arange(len(self.product), dtype=np.int32)
        _, bought_product, _ = self.bought_things
        products = np.arange(bought_product.size, dtype=np.int32)
        types = self.codes("product_type_name")
        numeric = self.article_table.numeric | {
            "trend": behaviour.trend(self.history, self.as_of_date),
            "rank_in_product_group": behaviour.rank_within(self.codes("product_group_name"), sales),
            "rank_in_department": behaviour.rank_within(self.codes("department_name"), sales),
            "repurchase_rate": behaviour.repurchase_rate(self.bought, articles),
            "product_repurchase_rate": behaviour.repurchase_rate(bought_product, products)[self.product],
            "product_type_repurchase_rate": behaviour.repurchase_rate(self.bought, types)[types],
        }
        return Columns({name: numeric[name] for name in ARTICLE_NUMERIC}, self.article_table.categories)

    def known(self) -> Iterator[np.ndarray]:
        """All that was read of the customers and articles with history, as arrays in the order of their ids.

        What is delivered for later dates, customers and articles included, changes none of them.
        """
        customers, articles = (np.unique(side) for side in (self.history.customer, self.history.article))
        for table, codes in ((self.customer_table, customers), (self.article_table, articles)):
            for values in table.numeric.values():
                yield values[codes]
            for texts in table.categories.values():
                encoded = texts.take(pa.array(codes)).dictionary_encode(null_encoding="encode")
                yield encoded.indices.to_numpy()
                yield np.frombuffer("\n".join(map(str, encoded.dictionary.to_pylist())).encode(), dtype=np.uint8)
        yield pa.array(self.product[articles]).dictionary_encode().indices.to_numpy()
        yield self.images[articles]
        if self.events is not None:
            met = bought(self.events)
            yield from (met.matrix.data, met.matrix.indices, met.matrix.indptr)

    @cached_property
    def bought(self) -> Bought:
        """Each (customer, article) pair."""
        return Bought.of(self.history.customer, self.history.article, self.history.day, len(self.product))

    @cached_property
    def bought_things(self) -> tuple[Bought, Bought, Bought]:
        """Each customer's articles, products (the same thing in any colour) and product types."""
        article, day, customer = self.history.article, self.history.day, self.history.customer
        things = (self.product, self.codes("product_type_name"))
        with ThreadPoolExecutor() as pool:  # each sorts all purchases, which leaves the interpreter to others
            counted = [pool.submit(Bought.of, customer, t[article], day, int(t.max()) + 1) for t in things]
            bought = self.bought
        product, product_type = (thing.result() for thing in counted)
        return bought, product, product_type

    @cached_property
    def weights(self) -> sparse.csr_matrix:
        """Customer x article matrix of recency-weighted purchases, and events where they count; rows sum to one."""
        return affinity_weights(self.history, self.as_of_date, self.events)

    @cached_property
    def age_band_lift(self) -> Floats:
        """Article x age band: how much better than elsewhere an article sells in the band."""
        return behaviour.age_band_lift(self.history, self.as_of_date, self.age_band)

    @cached_property
    def unit_images(self) -> Floats:
        """Leading image components with length one, or zero, (articles, at most TASTE_IMAGE_DIM)."""
        leading = self.images[:, :TASTE_IMAGE_DIM]
        return leading / np.maximum(np.linalg.norm(leading, axis=1, keepdims=True), 1e-12)

    @cached_property
    def _codes(self) -> dict[str, Ints]:
        return {name: _codes(texts) for name, texts in self.article_table.categories.items()}

    def release(self) -> None:
        """Free the large tables that only pairs need; they are computed again when needed."""
        for name in ("bought", "bought_things", "weights"):
            self.__dict__.pop(name, None)

    def codes(self, name: str) -> Ints:
        """A category of the articles as codes from 0; the unknown is a value of its own."""
        return self._codes[name]

    def one_hot(self, name: str) -> sparse.csr_matrix:
        """A category of the articles as a matrix (articles, values) of zeros and ones."""
        codes = self.codes(name)
        ones = np.ones(len(codes), dtype=np.float32)
        return sparse.csr_matrix((ones, (np.arange(len(codes)), codes)))


def require_features(job: Job, dates: Sequence[date], advice: str) -> None:
    """Raise JobError where features of a date are missing: all of them would be unknown, and nobody would notice.

    Args:
        advice: what to do about it.
    """
    for table in (CUSTOMER_FEATURES, ARTICLE_FEATURES):
        present = {part["as_of_date"] for part in job.partitions(table)}
        if missing := sorted({str(day) for day in dates} - present):
            raise JobError(f"{table.path} has nothing as of {', '.join(missing)}; {advice}")


class SnapshotLoader:
    """Loads snapshots of several dates, reading what has no date only once.

    Args:
        job: reads SNAPSHOT_TABLES.
        purchases: of all dates that will be asked for.
        encoder: version of the image embeddings; None: without images.
        tags_until: date of the newest tags that fill in what the catalogue does not state; None: the run's.
        with_events: the history of a customer has what silver/events tells of them, too; the job declares the table.

    Attributes:
        attributes: columns of silver/articles in the order of article codes, with what tags fill in.
        predicted: how many articles have a predicted attribute, by its name.
    """

    def __init__(
        self,
        job: Job,
        purchases: Purchases,
        encoder: str | None,
        tags_until: date | None = None,
        with_events: bool = False,
    ) -> None:
        self._job, self._purchases, self._with_events = job, purchases, with_events
        self._customers = self._aligned(job.read_arrow(CUSTOMERS), "customer")
        stated = self._aligned(job.read_arrow(ARTICLES), "article")
        attributes = [name for name in ARTICLE_CATEGORIES if name in stated.column_names]
        self.attributes, self.predicted = filled(job, stated, attributes, tags_until)
        self.images = image_embeddings(job, purchases.article_ids, encoder)
        self._age_band = behaviour.age_bands(_floats(self._customers["age"]))

    def with_attributes(self, attributes: pa.Table) -> SnapshotLoader:
        """The same with other attributes of the articles, of which nothing is filled in."""
        other = copy(self)
        other.attributes, other.predicted = attributes, {}
        return other

    def source_context(self, as_of_date: date) -> SourceContext:
        """What the candidate sources know as of a date, whose features they need not."""
        department, section = (
            _codes(self.attributes[name].cast(pa.string()).combine_chunks())
            for name in ("department_name", "section_name")
        )
        return SourceContext(
            history=self._purchases.before(as_of_date),
            as_of_date=as_of_date,
            product=self._purchases.products(),
            department=department,
            section=section,
            age_band=self._age_band,
            images=self.images,
        )

    def at(self, as_of_date: date) -> Snapshot:
        """The snapshot as of a date whose feature slices exist."""
        where = {"as_of_date": [as_of_date]}
        customers = self._aligned(self._job.read_arrow(CUSTOMER_FEATURES, where=where), "customer")
        articles = self._aligned(self._job.read_arrow(ARTICLE_FEATURES, where=where), "article")
        weekend, online = self._calendar(as_of_date)
        customer_numeric = _numeric(customers, (*CUSTOMER_PLAIN, *CUSTOMER_LOGGED), CUSTOMER_LOGGED)
        customer_numeric |= _numeric(self._customers, CUSTOMER_ATTRIBUTES, ())
        customer_numeric["has_history"] = (~np.isnan(customer_numeric["transaction_count"])).astype(np.float32)
        customer_numeric |= {"weekend_share_28d": weekend, "online_share_28d": online}
        article_numeric = _numeric(articles, (*ARTICLE_PLAIN, *ARTICLE_LOGGED), ARTICLE_LOGGED)
        last_sale = _floats(articles["last_sale_date"].cast(pa.int32()))
        idle = np.float32(day_number(as_of_date)) - last_sale
        article_numeric["days_since_last_sale"] = np.log1p(idle).astype(np.float32)
        article_numeric["has_image"] = np.asarray(self.images.any(axis=1), dtype=np.float32)
        angle = 2 * math.pi * as_of_date.timetuple().tm_yday / 365.25
        for name, value in (("season_sin", math.sin(angle)), ("season_cos", math.cos(angle))):
            article_numeric[name] = np.full(len(self.images), value, dtype=np.float32)
        return Snapshot(
            **vars(self.source_context(as_of_date)),
            customer_table=Columns(customer_numeric, _texts(CUSTOMER_CATEGORIES, customers, self._customers)),
            article_table=Columns(article_numeric, _texts(ARTICLE_CATEGORIES, articles, self.attributes)),
            events=self._events(as_of_date),
        )

    def _events(self, as_of_date: date) -> sparse.csr_matrix | None:
        if not self._with_events:
            return None
        return customers_events(self._purchases, events_before(self._job, as_of_date), as_of_date)

    def _calendar(self, as_of_date: date) -> tuple[Floats, Floats]:
        """Share of each customer's units of the last 28 days bought at weekends, and online; NaN without any."""
        start = as_of_date - timedelta(days=RECENT_DAYS)
        weeks = [start + timedelta(days=7 * i) for i in range(RECENT_DAYS // 7)]
        columns = ["customer_id", "is_weekend", "sales_channel_id"]
        rows = self._job.read_arrow(INTERACTION_FEATURES, columns, where={"week_start_date": weeks})
        size = len(self._purchases.customer_ids)
        customer = encode(rows["customer_id"], self._purchases.customer_ids, "customer")
        units = np.bincount(customer, minlength=size)
        with np.errstate(invalid="ignore"):
            shares = [
                np.bincount(customer, weights=flags.to_numpy().astype(float), minlength=size) / units
                for flags in (rows["is_weekend"], pc.equal(rows["sales_channel_id"], 2))
            ]
        return shares[0].astype(np.float32), shares[1].astype(np.float32)

    def _aligned(self, rows: pa.Table, what: str) -> pa.Table:
        """One row per code, in code order; all null for ids without a row."""
        ids = self._purchases.customer_ids if what == "customer" else self._purchases.article_ids
        position = pc.index_in(ids, value_set=rows[f"{what}_id"].combine_chunks())
        return rows.take(position)


def _floats(values: pa.ChunkedArray) -> Floats:
    return values.cast(pa.float32()).to_numpy().astype(np.float32)


def _codes(texts: pa.StringArray) -> Ints:
    """Codes from 0 in the values' order, which no further value changes; null is a value of its own, the last."""
    encoded = texts.dictionary_encode(null_encoding="encode")
    place = pc.rank(encoded.dictionary, "ascending").to_numpy() - 1  # nulls at the end
    return place[encoded.indices.to_numpy()].astype(np.int32)


def _numeric(rows: pa.Table, names: tuple[str, ...], logged: tuple[str, ...]) -> dict[str, Floats]:
    columns = {name: _floats(rows[name]) for name in names}
    return {name: np.log1p(column) if name in logged else column for name, column in columns.items()}


def _texts(names: tuple[str, ...], *tables: pa.Table) -> dict[str, pa.Array]:
    """Each category as text, from the first table that has the column."""
    found = {}
    for name in names:
        table = next(t for t in tables if name in t.column_names)
        found[name] = table[name].cast(pa.string()).combine_chunks()
    return found
