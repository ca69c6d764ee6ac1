"""What a log's rows mean: typed events, one per product, and what is wrong with the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from expectations.recommendations import BUCKETS
from expectations.transactions import MAX_PRICE
from jobs.ingest.events.identifiers import content_ids
from jobs.ingest.events.mapping import Article, EventsMapping, Rule
from jobs.ingest.events.reading import BROKEN, LINE
from jobs.ingest.events.times import days, moments
from jobs.ingest.values import number_parser

#: Names of a column of verdicts, while they are collected.
_REFUSED, _REMARK = "refused", "remark"
_LIMITS = {"price": (0, MAX_PRICE), "position": (0, 2**31 - 1), "quantity": (1, 2**31 - 1), "bucket": (0, BUCKETS - 1)}
_TEXTS = ("event_id", "customer_id", "visitor_id", "list", "source", "model_version", "currency", "city", "region")
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
        article_id=_articles(raw, mapping),
        **{"rule": _rule_of(raw, mapping)},
    )
    rows = rows.with_columns(pl.coalesce(*_refusals(raw, mapping, latest)).alias(_REFUSED))
    is_usable = pl.col(_REFUSED).is_null()
    is_kept = is_usable & pl.col("rule").is_not_null()
    has_article = pl.col("article_id").list.len() > 0
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
    for part in (*_TEXTS, *_LIMITS, "birth_date"):
        source = mapping.columns.get(part)
        dtype = pl.String if part in _TEXTS else pl.Date if part == "birth_date" else pl.Float64
        if source is None:
            values[part] = pl.Series(part, [None], dtype=dtype).new_from_index(0, len(raw))
            continue
        text = _text(raw[source.column], mapping)
        if source.pattern:
            text = text.str.extract(source.pattern if "(" in source.pattern else f"({source.pattern})", 1)
        values[part] = text
        if part in _LIMITS:
            values[part] = _numbers(text, part, mapping)
        elif part == "birth_date":
            values[part] = days(text, source.format)
        if part in _LIMITS or (part == "birth_date" and not source.pattern):
            is_lost = values[part].is_null() & text.is_not_null()
            remarks.append(pl.when(is_lost).then(pl.lit(f"{part} unreadable, left empty")))
    frame = pl.DataFrame([series.alias(part) for part, series in values.items()])
    remark = pl.coalesce(*remarks) if remarks else pl.lit(None, pl.String)
    whole = (pl.col(part).cast(pl.Int32) for part in ("position", "quantity", "bucket"))
    return frame.with_columns(raw[LINE], raw[BROKEN], remark.alias(_REMARK), *whole)


def _text(values: pl.Series, mapping: EventsMapping) -> pl.Series:
    """Texts without blanks around them, null where they are a word for nothing."""
    text = values.cast(pl.String).str.strip_chars()
    words = [word.lower() for word in mapping.empty_words]
    is_empty = (text == "") | ((text.str.len_bytes() <= 5) & text.str.to_lowercase().is_in(words))
    return text.set(is_empty, None) if is_empty.any() else text


def _numbers(text: pl.Series, part: str, mapping: EventsMapping) -> pl.Series:
    """Numbers within the part's limits; whole ones but for prices."""
    number = (
        text.cast(pl.Float64, strict=False)
        if mapping.decimal == "."
        else pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
    )
    odd = number.is_null() & text.is_not_null()
    if odd.any():
        parse = number_parser(mapping)
        distinct = text.filter(odd).unique()
        read = pl.DataFrame(
            {"text": distinct, "number": pl.Series([parse(t) for t in distinct.to_list()], dtype=pl.Float64)}
        )
        further = text.to_frame("text").join(read, on="text", how="left", maintain_order="left")["number"]
        number = number.zip_with(~odd, further)
    low, high = _LIMITS[part]
    is_right = number.is_between(low, high)
    if part != "price":
        is_right &= number == number.floor()
    return number.set(~is_right.fill_null(False), None)


def _rule_of(raw: pl.DataFrame, mapping: EventsMapping) -> pl.Series:
    """The place of the first rule that fits each row, null where none does."""
    fields = sorted({column for rule in mapping.rules for column in rule.when})
    texts = pl.DataFrame([_text(raw[column], mapping).fill_null("").alias(column) for column in fields])
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


def _articles(raw: pl.DataFrame, mapping: EventsMapping) -> pl.Series:
    """The different products of each row, in the order in which they are named: one list of all fields together."""
    found = [_named(raw[each.column], each) for each in mapping.articles]
    if len(found) == 1 and (found[0].list.len() <= 1).all():
        return found[0].list.drop_nulls()
    together = pl.DataFrame([ids.alias(str(n)) for n, ids in enumerate(found)])
    lists = pl.concat_list(pl.col(c).fill_null(pl.lit([], pl.List(pl.String))) for c in together.columns)
    return together.select(lists.list.drop_nulls().list.unique(maintain_order=True)).to_series()


def _named(values: pl.Series, article: Article) -> pl.Series:
    """The ids in a field, a list for each row."""
    if isinstance(values.dtype, pl.List):
        ids = values.cast(pl.List(pl.String))
    else:
        text = values.cast(pl.String).str.strip_chars()
        if article.pattern:
            ids = text.str.extract_all(article.pattern)
        elif article.key:
            ids = text.str.extract_all(rf'"{article.key}"\s*:\s*(?:"[^"]*"|-?[0-9]+)')
        elif text.str.starts_with("[").any():
            ids = text.str.extract_all(r'"[^"]*"|\'[^\']*\'|[^\[\],\s"\']+').list.eval(
                pl.element().str.strip_chars("\"'")
            )
        else:
            ids = text.set(text == "", None).reshape((-1, 1)).arr.to_list()
    item = pl.element()
    if article.pattern and "(" in article.pattern.replace("(?", ""):
        item = item.str.extract(article.pattern, 1)
    if article.key:
        item = item.str.extract(r':\s*"?([^"]*)"?$', 1)
    if article.id_width:
        item = pl.when(item.str.contains(r"^[0-9]+$")).then(item.str.zfill(article.id_width)).otherwise(item)
    if article.pattern or article.key or article.id_width:
        ids = ids.list.eval(item)
    return ids


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
    no_article = pl.col("article_id").list.len() == 0
    is_empty = pl.lit(True)
    for each in mapping.articles:
        values = raw[each.column]
        text = values.cast(pl.String).fill_null("").str.strip_chars() if values.dtype != pl.List else None
        is_empty &= pl.lit(text.is_in(["", "[]", "{}"])) if text is not None else pl.lit(True)
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
    rows = kept.explode("article_id").join(rules, on="rule", how="left", maintain_order="left")
    if "event_id" not in mapping.columns:
        rows = rows.with_columns(content_ids([rows[name] for name in _CONTENT]))
    elif rows["event_id"].null_count():
        own = content_ids([rows[name] for name in _CONTENT])
        rows = rows.with_columns(pl.coalesce("event_id", own))
    return rows.with_columns(
        pl.col("event_time").dt.date().alias("event_date"),
        pl.col("customer_id").is_not_null().alias("is_signed_in"),
        pl.col(LINE).alias("source_line"),
    ).drop(LINE, BROKEN, _REFUSED, _REMARK, "rule", "birth_date")


def _facts(rows: pl.DataFrame) -> pl.DataFrame:
    """What rows state of their visitors, each fact once a day."""
    whose = ["visitor_id", "customer_id"]
    is_known = pl.col("event_time").is_not_null() & pl.any_horizontal(pl.col(whose).is_not_null())
    day = pl.col("event_time").dt.date().alias("day")
    usable = rows.filter(is_known & pl.col(_REFUSED).is_null())
    first = pl.col("event_time").arg_min()
    longs = [
        usable.filter(pl.col(name).is_not_null())
        .group_by(*whose, day, pl.col(name).cast(pl.String).alias("value"))
        .agg(pl.col("event_time").get(first), pl.col(LINE).get(first).alias("source_line"))
        .select(*whose, "event_time", pl.lit(name).alias("name"), "value", "source_line")
        for name in ("birth_date", "city", "region")
        if usable[name].null_count() < len(usable)
    ]
    if not longs:
        return pl.DataFrame(
            schema={
                "visitor_id": pl.String, "customer_id": pl.String, "event_time": pl.Datetime("us", "UTC"),
                "name": pl.String, "value": pl.String, "source_line": pl.Int64,
            }
        )  # fmt: skip
    return pl.concat(longs)


def _bad(raw: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a verdict, as they came."""
    reason = pl.coalesce(_REFUSED, _REMARK)
    noted = rows.select(pl.col(LINE).alias("source_line"), reason.alias("reason"), pl.col(BROKEN))
    where = noted["reason"].is_not_null()
    came = raw.filter(where).drop(LINE, BROKEN)
    texts = (
        came.select(pl.struct(pl.all()).struct.json_encode()).to_series()
        if len(came)
        else pl.Series([], dtype=pl.String)
    )
    broken = noted.filter(where)[BROKEN]
    lines = pl.Series(
        [None if line is None else json.dumps({"line": line[:2_000]}, ensure_ascii=False) for line in broken.to_list()],
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
