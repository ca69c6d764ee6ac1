"""Which field of a shop's log plays which part: a small TOML file, checked before anything is read."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from expectations.contract import Contract
from expectations.events import ARTICLE_ATTRIBUTES, EVENTS, PRODUCT_PRICES
from jobs.ingest.dates import EPOCHS, date_pattern
from jobs.ingest.events.times import strptime_of
from jobs.ingest.mapping import Delivered, read_mapping

BUILT_IN = Path(__file__).with_name("mappings")
#: Parts that a field of an event can play, beside time, articles and type.
PARTS = (
    *("event_id", "customer_id", "visitor_id", "list", "position", "source", "model_version", "bucket"),
    *("quantity", "price", "currency", "city", "region", "birth_date"),
)


def _time_format(text: str) -> str:
    if text != "iso" and text not in EPOCHS and "HH" not in text:
        raise ValueError(f"{text!r} has no HH; give iso, {', '.join(EPOCHS)}, or one such as dd/MM/yyyy HH:mm:ss")
    if text != "iso" and text not in EPOCHS:
        date_pattern(text)
        try:
            pl.Series(["x"]).str.to_datetime(strptime_of(text), strict=False)
        except pl.exceptions.ComputeError as error:
            raise ValueError(f"{text!r}: {str(error).splitlines()[0]}") from None
    return text


def _pattern(text: str) -> str:
    """The pattern with a group for what is meant, if it has none."""
    try:
        groups = pl.Series([""]).str.extract_groups(text).struct.fields
    except pl.exceptions.ComputeError as error:
        raise ValueError(f"{text!r} is no regular expression: {str(error).rpartition('error: ')[2]}") from None
    return text if groups else f"({text})"


Pattern = Annotated[str, AfterValidator(_pattern)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Model):
    """A field of the event; a field within a field is named with a dot.

    Attributes:
        column: the field.
        pattern: a regular expression for what in its text is meant: its first group, or all of what it matches.
        format: of a birth date, a pattern such as dd-MM-yyyy.
    """

    column: str
    pattern: Pattern | None = None
    format: str = "yyyy-MM-dd"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value


class Article(_Model):
    """Where an event says which products it is about. What several of these name twice is one product.

    Attributes:
        column: a field with an id, or a list of ids (JSON, or Parquet's).
        pattern: a regular expression for ids in a text (a URL, JSON of whatever quoting): each match is a product.
        key: in a JSON object, or in each of a list of them, the key of the id.
        id_width: how many digits ids have that are digits alone; zeros that were lost come back.
    """

    column: str
    pattern: Pattern | None = None
    key: str | None = None
    id_width: int | None = Field(None, ge=1, le=64)

    @model_validator(mode="after")
    def _one_way(self) -> Article:
        if self.pattern is not None and self.key is not None:
            raise ValueError("give a pattern or a key, not both")
        return self


class Contains(_Model):
    """A text that a field's value has in it."""

    contains: str = Field(min_length=1)


class Rule(_Model):
    """Events whose fields are as `when` says are of this type. An empty text in `when` is a field without a value."""

    when: dict[str, str | Contains] = Field(min_length=1)
    event_type: Literal["impression", "view", "click", "wishlist", "cart", "purchase"]
    weight: float = Field(1.0, ge=0, le=1_000)


class Time(_Model):
    """`format`: iso, one of EPOCHS, or Spark's pattern; moments without a zone are those of the mapping's timeZone."""

    column: str
    format: Annotated[str, AfterValidator(_time_format)] = "iso"


class EventsMapping(Delivered):
    """A shop's log.

    Attributes:
        records: a field with a list of events (OTTO's sessions); its fields are named `records.field`.
        columns: part -> field; at least customer_id or visitor_id.
        articles: where the products are named.
        rules: the first that fits decides.
        leaves_out_others: events that no rule fits are left out and counted; else they go to quarantine.
        leaves_out_without_article: so are events that name no product.
        first_date: no event is older.
        received: when the shop's server got the event, by its own clock.
        max_minutes_ahead: an event that is so much later than it was received has a clock that is wrong.
        max_silent_days: so many days after all others of its file an event's clock is wrong, too.
        bot_events, bot_minutes: more events than that within so many minutes, impressions aside, and from then to the
            end of the next day it is a bot.
        identity_days: so long after signing in a device is its customer's.
    """

    contract: ClassVar[Contract] = EVENTS
    takes_json: ClassVar[bool] = True

    records: str | None = None
    time: Time
    columns: dict[str, Source]
    articles: tuple[Article, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    leaves_out_others: bool = False
    leaves_out_without_article: bool = False
    first_date: date = date(2000, 1, 1)
    received: Time | None = None
    max_minutes_ahead: int = Field(10, ge=0)
    max_silent_days: int = Field(92, ge=1, le=36_600)
    bot_events: int = Field(200, ge=2)
    bot_minutes: int = Field(60, ge=1, le=24 * 60)
    identity_days: int = Field(30, ge=1, le=400)

    @field_validator("columns")
    @classmethod
    def _known_parts(cls, columns: dict[str, Source]) -> dict[str, Source]:
        if unknown := sorted(set(columns) - set(PARTS)):
            raise ValueError(f"{', '.join(unknown)}: no such part; an event has {', '.join(PARTS)}")
        if not {"customer_id", "visitor_id"} & set(columns):
            raise ValueError("customer_id or visitor_id must be given")
        if "birth_date" in columns:
            date_pattern(columns["birth_date"].format)
        return columns

    @model_validator(mode="after")
    def _records_have_fields(self) -> EventsMapping:
        if self.records is not None:
            fields = [column for column in self.source_columns if column.startswith(f"{self.records}.")]
            if re.search(r'[."]', self.records) or not fields:
                raise ValueError(f"records: no field {self.records}.* is named, or it is itself within a field")
        return self

    @property
    def lists(self) -> tuple[tuple[str, str | None], ...]:
        return tuple((each.column, each.key) for each in self.articles)

    @property
    def source_columns(self) -> dict[str, str]:
        named = {source.column: part for part, source in self.columns.items()}
        named |= {column: "a rule" for rule in self.rules for column in rule.when}
        named |= {self.received.column: "the time of receipt"} if self.received else {}
        return named | {each.column: "article_id" for each in self.articles} | {self.time.column: "event_time"}


class ProductsMapping(Delivered):
    """Files with one product a row.

    Attributes:
        article: the field with its id, and which part of it is meant.
        prices: a field with a list of prices, of JSON or Python's literals; None: the files have none.
        attributes: fields with a dictionary of attributes, likewise, or with the value of one.
    """

    contract: ClassVar[Contract] = PRODUCT_PRICES
    takes_json: ClassVar[bool] = True

    article: Source
    prices: str | None = None
    attributes: tuple[str, ...] = ()

    @property
    def source_columns(self) -> dict[str, str]:
        named = dict.fromkeys(self.attributes, f"attributes in {ARTICLE_ATTRIBUTES.path}")
        return named | ({self.prices: "prices"} if self.prices else {}) | {self.article.column: "article_id"}


class ShopLog(_Model):
    """All that a mapping of a log says."""

    events: EventsMapping
    products: ProductsMapping | None = None

    @property
    def digest(self) -> str:
        """Changes with everything that decides how files become tables."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_log_mapping(name_or_path: str) -> ShopLog:
    """The mapping of that built-in name (atelier, otto, ...), or in that TOML file.

    Raises JobError, naming file and key, when there is no such mapping or it says something that means nothing.
    """
    return read_mapping(name_or_path, BUILT_IN, ShopLog)
