"""What a log's rows mean: typed events, one per product, and what is wrong with the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from jobs.ingest.events.fields import LIMITS, articles_of, ids_of, numbers_of, text_of
from jobs.ingest.events.identifiers import content_ids
from jobs.ingest.events.mapping import EventsMapping, Rule
from jobs.ingest.events.reading import BROKEN, LINE
from jobs.ingest.events.times import days, moments

#: Names of a column of verdicts, while they are collected.
_REFUSED, _REMARK = "refused", "remark"
_TEXTS = ("event_id", "customer_id", "visitor_id", "list", "source", "model_version", "currency", "city", "region")
_IDS = ("event_id", "customer_id", "visitor_id")
#: So much of a field, or of a broken line, goes to quarantine.
_SHOWN = 2_000
#: What an event's digest is made of.
_CONTENT = ("event_type", "customer_id", "visitor_id", "event_time", "article_id", "list", "position", "quantity")


@dataclass(frozen=True)
class Understood:
    """A piece of a log.

    Attributes:
        events: rows of silver/events, with the customer that each one states and without sessions.
        facts: what rows state of visitors, by silver/visitor_facts' columns.
        bad: source_line, reason, raw_row of rows that were refused, or that lost a value.
        counts: row_count, left_out_count, without_article_count, refused_count.
        left_out: of events that no rule is for, how many there are of each (the rules' fields as JSON -> number).
    """

    events: pl.DataFrame
    facts: pl.DataFrame
    bad: pl.DataFrame
    counts: dict[str, int]
    left_out: dict[str, int] = field(default_factory=dict)


def transform(raw: pl.DataFrame, mapping: EventsMapping, latest: datetime | None = None) -> Understood:
    """The events in rows of a log as they came (jobs.ingest.events.reading.frames).

    Args:
        raw: the rows.
        mapping: the log's.
        latest: events after it have a clock that is ahead; None: that is not known yet.
    """
    rows = _parts(raw, mapping).with_columns(
        event_time=moments(raw[mapping.time.column], mapping.time.format, mapping.time_zone),
        article_id=articles_of(raw, mapping),
        **{"rule": _rule_of(raw, mapping)},
    )
    rows = rows.with_columns(pl.coalesce(*_refusals(raw, mapping, latest)).alias(_REFUSED))
    is_usable = pl.col(_REFUSED).is_null()
    is_kept = is_usable & pl.col("rule").is_not_null()
    has_article = pl.col("article_id").is_not_null()
    kept = rows.filter(is_kept & has_article)
    others = raw.filter(rows.select(is_usable & pl.col("rule").is_null()).to_series())
    return Understood(
        _exploded(kept, mapping),
        _facts(rows),
        _bad(raw, rows),
        {
            "row_count": len(raw),
            "left_out_count": len(others),
            "without_article_count": int(rows.select((is_kept & ~has_article).sum()).item()),
            "refused_count": int(rows.select((~is_usable).sum()).item()),
        },
        _pairs(others, mapping),
    )


def _parts(raw: pl.DataFrame, mapping: EventsMapping) -> pl.DataFrame:
    """The fields that play a part, as text and numbers; null where they are empty or cannot be read."""
    remarks, values = [], {}
    for part in (*_TEXTS, *LIMITS, "birth_date"):
        source = mapping.columns.get(part)
        dtype = pl.String if part in _TEXTS else pl.Date if part == "birth_date" else pl.Float64
        if source is None:
            values[part] = pl.Series(part, [None], dtype=dtype).new_from_index(0, len(raw))
            continue
        text = text_of(raw[source.column], mapping)
        if source.pattern:
            text = text.str.extract(source.pattern, 1)
        values[part] = text
        if part in LIMITS:
            values[part] = numbers_of(text, part, mapping)
        elif part in _IDS:
            values[part] = ids_of(text)
        elif part == "birth_date":
            values[part] = days(text, source.format)
        if part in LIMITS or part in _IDS or (part == "birth_date" and not source.pattern):
            is_lost = values[part].is_null() & text.is_not_null()
            remarks.append(pl.when(is_lost).then(pl.lit(f"{part} unreadable, left empty")))
    frame = pl.DataFrame([series.alias(part) for part, series in values.items()])
    remark = pl.coalesce(*remarks) if remarks else pl.lit(None, pl.String)
    whole = (pl.col(part).cast(pl.Int32) for part in ("position", "quantity", "bucket"))
    return frame.with_columns(raw[LINE], raw[BROKEN], remark.alias(_REMARK), *whole)


def _rule_of(raw: pl.DataFrame, mapping: EventsMapping) -> pl.Series:
    """The place of the first rule that fits each row, null where none does."""
    fields = sorted({column for rule in mapping.rules for column in rule.when})
    texts = pl.DataFrame([text_of(raw[column], mapping).fill_null("").alias(column) for column in fields])
    chain = pl.coalesce(
        *(pl.when(_fits(rule)).then(pl.lit(place, pl.UInt16)) for place, rule in enumerate(mapping.rules)),
        pl.lit(None, pl.UInt16),
    )
    return texts.select(chain).to_series()


def _fits(rule: Rule) -> pl.Expr:
    return pl.all_horizontal(
        pl.col(column) == said if isinstance(said, str) else pl.col(column).str.contains(said.contains, literal=True)
        for column, said in rule.when.items()
    )


def _refusals(raw: pl.DataFrame, mapping: EventsMapping, latest: datetime | None) -> Iterator[pl.Expr]:
    """Why a row is refused, the first reason first; null for each that does not hold."""

    def because(condition: pl.Expr | pl.Series, words: str | pl.Expr) -> pl.Expr:
        return pl.when(condition).then(pl.lit(words) if isinstance(words, str) else words)

    yield because(pl.col(BROKEN).is_not_null(), "broken line: not an event of the mapping's columns in UTF-8")
    no_rule = pl.col("rule").is_null()
    if mapping.leaves_out_others:  # whose fields need not be right
        in_question = ~no_rule
    else:
        in_question = pl.lit(True)
        yield because(no_rule, "no rule of the mapping fits the event's type")
    when = pl.Series(raw[mapping.time.column]).cast(pl.String).fill_null("").str.strip_chars()
    yield because(in_question & pl.lit(when == ""), "event_time is empty")
    said = f"{mapping.time.format} in {mapping.time_zone or 'UTC'}"
    yield because(in_question & pl.col("event_time").is_null(), f"event_time is not a moment ({said})")
    first = datetime.combine(mapping.first_date, datetime.min.time(), UTC)
    yield because(in_question & (pl.col("event_time") < first), f"event_time is before {mapping.first_date}")
    if latest is not None:
        words = f"event_time is more than {mapping.max_silent_days} days after the rest of its file: a clock is ahead"
        yield because(pl.col("event_time") > latest, words)
    if mapping.received:
        received = moments(raw[mapping.received.column], mapping.received.format, mapping.time_zone)
        limit = pl.lit(received) + timedelta(minutes=mapping.max_minutes_ahead)
        words = f"event_time is more than {mapping.max_minutes_ahead} minutes after its receipt: a clock is ahead"
        yield because(in_question & (pl.col("event_time") > limit), words)
    nobody = pl.col("customer_id").is_null() & pl.col("visitor_id").is_null()
    yield because(in_question & nobody, "neither customer_id nor visitor_id")
    no_article = pl.col("article_id").is_null()
    is_empty = pl.lit(True)
    for each in mapping.articles:
        if (values := raw[each.column]).dtype != pl.List:
            text = text_of(values, mapping).fill_null("")
            names_none = text.is_in(["", "[]", "{}"])
            if each.pattern and mapping.leaves_out_without_article:  # a page of the shop, and of no product
                names_none |= text.str.contains("^(https?://|/)")
            is_empty &= pl.lit(names_none)
    yield because(in_question & no_article & ~is_empty, "article_id: no id where the mapping expects one")
    if not mapping.leaves_out_without_article:
        yield because(in_question & no_article, "article_id is empty")


def _exploded(kept: pl.DataFrame, mapping: EventsMapping) -> pl.DataFrame:
    """A row for each product, by the columns of silver/events but sessions, days and files."""
    rules = pl.DataFrame(
        {
            "rule": pl.Series(range(len(mapping.rules)), dtype=pl.UInt16),
            "event_type": [rule.event_type for rule in mapping.rules],
            "weight": [rule.weight for rule in mapping.rules],
        }
    )
    rows = kept.join(rules, on="rule", how="left", maintain_order="left")
    is_listed = isinstance(rows.schema["article_id"], pl.List)
    if "event_id" not in mapping.columns or rows["event_id"].null_count():
        articles = rows["article_id"].list.join("\n") if is_listed else rows["article_id"]
        own = content_ids([articles if name == "article_id" else rows[name] for name in _CONTENT])
        rows = rows.with_columns(pl.coalesce("event_id", own))
    rows = rows.explode("article_id") if is_listed else rows
    return rows.with_columns(
        pl.col("event_time").dt.date().alias("event_date"),
        pl.col("customer_id").is_not_null().alias("is_signed_in"),
        pl.col(LINE).alias("source_line"),
    ).drop(LINE, BROKEN, _REFUSED, _REMARK, "rule", "birth_date")


def _facts(rows: pl.DataFrame) -> pl.DataFrame:
    """What rows state of their visitors, by the last row of a day that states the same; a city with its region."""
    whose, names = ["visitor_id", "customer_id"], ["birth_date", "city", "region"]
    day = pl.col("event_time").dt.date().alias("day")
    is_known = pl.col("event_time").is_not_null() & pl.any_horizontal(pl.col(whose).is_not_null())
    usable = rows.filter(is_known & pl.col(_REFUSED).is_null() & pl.any_horizontal(pl.col(names).is_not_null()))
    last = pl.col("event_time").arg_max()
    stated = (
        usable.group_by(*whose, day, *names)
        .agg(pl.col("event_time").get(last), pl.col(LINE).get(last).alias("source_line"))
        .with_columns(pl.col("birth_date").cast(pl.String))
    )
    facts = stated.unpivot(names, index=[*whose, "event_time", "source_line"], variable_name="name")
    return facts.drop_nulls("value").select(*whose, "event_time", "name", "value", "source_line")


def _bad(raw: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a verdict, as they came."""
    reason = pl.coalesce(_REFUSED, _REMARK)
    noted = rows.select(pl.col(LINE).alias("source_line"), reason.alias("reason"), pl.col(BROKEN))
    where = noted["reason"].is_not_null()
    came = raw.filter(where).drop(LINE, BROKEN)
    texts = (
        came.with_columns(pl.col(pl.String).str.head(_SHOWN))
        .select(pl.struct(pl.all()).struct.json_encode())
        .to_series()
        if len(came)
        else pl.Series([], dtype=pl.String)
    )
    broken = noted.filter(where)[BROKEN]
    lines = pl.Series(
        [
            None if line is None else json.dumps({"line": line[:_SHOWN]}, ensure_ascii=False)
            for line in broken.to_list()
        ],
        dtype=pl.String,
    )
    return noted.filter(where).select("source_line", "reason", raw_row=pl.coalesce(lines, texts))


def _pairs(others: pl.DataFrame, mapping: EventsMapping) -> dict[str, int]:
    """How many of them have which values in the rules' fields."""
    fields = sorted({column for rule in mapping.rules for column in rule.when})
    if not len(others):
        return {}
    counted = others.select(pl.struct(pl.col(fields).cast(pl.String)).struct.json_encode().alias("pair"))
    found = counted["pair"].value_counts(sort=True).head(1_000)
    return dict(found.iter_rows())
