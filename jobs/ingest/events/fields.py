"""What a field of a log holds: texts, ids, numbers, products; whole columns at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote

import duckdb
import polars as pl

from expectations.recommendations import BUCKETS
from expectations.transactions import MAX_PRICE
from jobs.ingest.events.mapping import Article, EventsMapping
from jobs.ingest.file_format import FileFormat
from jobs.ingest.parquet_rows import numbers_as_text
from jobs.ingest.values import number_parser

#: Parts that are numbers, and what they lie between.
LIMITS = {"price": (0, MAX_PRICE), "position": (0, 2**31 - 1), "quantity": (1, 2**31 - 1), "bucket": (0, BUCKETS - 1)}
#: A text that is longer is no id.
_LONGEST_ID = 1_000
#: Whole numbers that became floats, or decimals; as Java writes floats; as what has lost digits does.
_WHOLE, _JAVA_ID = (r"^([0-9]+)\.0+$", "${1}"), r"^[0-9]\.[0-9]+[eE][0-9]+$"
_ROUNDED_ID = r"^[0-9]+(\.[0-9]+)?[eE]\+[0-9]+$"


def text_of(values: pl.Series, mapping: FileFormat) -> pl.Series:
    """Texts without blanks around them, null where they are a word for nothing."""
    text = values.cast(pl.String).str.strip_chars()
    words = ["", *mapping.empty_words]
    is_short = text.str.len_bytes() <= max(len(word.encode()) for word in words)
    short = text.filter(is_short)  # ids are not: most of the texts need not be looked into
    if mapping.null_value is None:
        short, words = short.str.to_lowercase(), [word.lower() for word in words]
    is_word = short.is_in(words)
    return text.scatter(is_short.arg_true().filter(is_word), None) if is_word.any() else text


def ids_of(text: pl.Series) -> pl.Series:
    """Ids, whole floats as whole numbers; null where a text is none: an object, a list, a rounded number."""
    if text.str.contains(".", literal=True).any():
        text = text.str.replace(*_WHOLE)
        java = text.str.contains(_JAVA_ID).arg_true()
        number = text.gather(java).cast(pl.Float64)
        is_exact = (number < 2**53) & (number == number.floor())
        text = text.scatter(java, number.set(~is_exact, None).cast(pl.Int64).cast(pl.String))
    is_odd = text.str.starts_with("{") | text.str.starts_with("[") | (text.str.len_bytes() > _LONGEST_ID)
    if text.str.contains("+", literal=True).any():
        is_odd |= text.str.contains(_ROUNDED_ID)
    return text.set(is_odd, None) if is_odd.any() else text


def numbers_of(text: pl.Series, part: str, mapping: EventsMapping) -> pl.Series:
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
    low, high = LIMITS[part]
    is_right = number.is_between(low, high)
    if part != "price":
        is_right &= number == number.floor()
    return number.set(~is_right.fill_null(False), None)


def articles_of(raw: pl.DataFrame, mapping: EventsMapping) -> pl.Series:
    """The product of each row, or the different ones in the order in which they are named: one list of all fields.

    Null where no product is named.
    """
    found = [_named(raw[each.column], each, mapping) for each in mapping.articles]
    if len(found) == 1 and found[0].dtype == pl.String:
        return found[0]
    together = pl.DataFrame([ids.alias(str(n)) for n, ids in enumerate(found)])
    nothing = pl.lit([], pl.List(pl.String))
    lists = pl.concat_list(
        pl.col(name) if dtype == pl.String else pl.col(name).fill_null(nothing)
        for name, dtype in together.schema.items()
    )
    ids = lists.list.drop_nulls().list.unique(maintain_order=True)
    return together.select(pl.when(ids.list.len() > 0).then(ids)).to_series()


def _named(values: pl.Series, article: Article, mapping: EventsMapping) -> pl.Series:
    """The ids in a field: a list for each row, or a text where no row has more than one."""
    if isinstance(values.dtype, pl.List):
        return _each(values, partial(_named, article=article, mapping=mapping))
    if isinstance(values.dtype, pl.Struct):
        return _id_of(values.struct.field(str(article.key)), article, mapping)
    if values.dtype.is_float():
        values = pl.Series(numbers_as_text(values.to_arrow()), dtype=pl.String)
    text = values.cast(pl.String).str.strip_chars()
    if article.pattern:
        found = text.str.extract_all(article.pattern).list.eval(pl.element().str.extract(article.pattern, 1))
        return _each(found, lambda ids: _id_of(_outside_of_urls(ids), article, mapping))
    if article.key:
        ids = _by_key(text, article.key)
    elif text.str.starts_with("[").any():
        # Which key of an object is the id the mapping does not say.
        text = text.set(text.str.contains("{", literal=True).fill_null(False), None)
        ids = text.str.extract_all(r'"[^"]*"|\'[^\']*\'|[^\[\],\s"\']+')
        ids = ids.list.eval(pl.element().str.strip_chars("\"'"))
    else:
        return _id_of(text, article, mapping)
    return _each(ids, partial(_id_of, article=article, mapping=mapping))


def _outside_of_urls(ids: pl.Series) -> pl.Series:
    """Ids as they are elsewhere: in URLs a blank is %20."""
    quoted = ids.str.contains("%[0-9a-fA-F]{2}").arg_true()
    return ids.scatter(quoted, [unquote(each) for each in ids.gather(quoted)]) if len(quoted) else ids


def _by_key(text: pl.Series, key: str) -> pl.Series:
    """What JSON objects, and each of a list of them, have under the key."""
    query = """
        SELECT CASE WHEN json_valid(text) THEN
            list_concat([json_extract_string(text, '$.' || $key)], json_extract_string(text, '$[*].' || $key))
        END AS ids FROM rows"""
    with duckdb.connect() as database:
        database.execute("SET threads = 1")  # a task has one core
        database.register("rows", text.alias("text").to_frame().to_arrow())
        found = database.sql(query, params={"key": json.dumps(key, ensure_ascii=False)}).to_arrow_table()
    return pl.DataFrame(pl.from_arrow(found))["ids"]


def _each(lists: pl.Series, ids_in: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Lists of the ids in their items."""
    rows = lists.to_frame("id").with_row_index("row")
    items = rows.explode("id")
    items = items.with_columns(ids_in(items["id"]).alias("id"))
    if isinstance(items["id"].dtype, pl.List):
        items = items.explode("id")
    of_row = items.drop_nulls("id").group_by("row", maintain_order=True).agg("id")
    return rows.select("row").join(of_row, on="row", how="left", maintain_order="left")["id"]


def _id_of(values: pl.Series, article: Article, mapping: EventsMapping) -> pl.Series:
    """The id that each text is, with the zeros that one of digits alone has lost."""
    ids = ids_of(text_of(values, mapping)).alias("id")
    is_short = pl.col("id").str.contains(r"^[0-9]+$")
    padded = pl.when(is_short).then(pl.col("id").str.zfill(article.id_width or 0)).otherwise("id")
    return ids.to_frame().select(padded).to_series() if article.id_width else ids
