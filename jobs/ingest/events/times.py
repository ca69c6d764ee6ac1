"""Moments out of texts and numbers, by column."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import polars as pl

from jobs.ingest.dates import EPOCHS

_UTC = pl.Datetime("us", "UTC")
#: Spark's letters -> those of Polars.
_LETTERS = {
    "yyyy": "%Y", "yy": "%y", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d", "HH": "%H", "H": "%-H",
    "mm": "%M", "ss": "%S", "XXX": "%#z",
}  # fmt: skip
#: Microseconds since 1970 that are of the years 1 to 9999.
_LOW, _HIGH = -62_135_596_800_000_000, 253_402_300_799_999_999


def moments(values: pl.Series, time_format: str, time_zone: str | None) -> pl.Series:
    """Moments in UTC, null where a value is none in this format, nor ISO 8601.

    Args:
        values: texts, or what Parquet has: numbers, or timestamps.
        time_format: iso, one of EPOCHS, or Spark's pattern.
        time_zone: of moments that do not say theirs; None: UTC. Of an hour that the clocks pass twice it is the first
            that is meant; one that they leave out is no moment.
    """
    if isinstance(values.dtype, pl.Datetime):
        moment = values.cast(pl.Datetime("us", values.dtype.time_zone))
        return _zoned(moment.set(~moment.to_physical().is_between(_LOW, _HIGH), None), time_zone)
    text = values.cast(pl.String).str.strip_chars()
    if time_format in EPOCHS:
        found = _since_1970(text, EPOCHS[time_format])
    elif time_format == "iso":
        found = _iso(text, time_zone)
    else:
        found = _by_pattern(text, time_format, time_zone)
    if time_format == "iso" or found.null_count() == text.null_count():
        return found
    return _where_null(found, text, lambda rest: _iso(rest, time_zone))


def days(values: pl.Series, date_format: str) -> pl.Series:
    """Days, null where a text is none."""
    return values.str.to_date(strptime_of(date_format), strict=False)


def strptime_of(pattern: str) -> str:
    """Spark's pattern in the words of strptime. A fraction after a point may be left out."""

    def word(found: re.Match[str]) -> str:
        if found[1] is not None:
            return found[1] or "'"
        return "%.f" if found[0].startswith(".") else f"%{len(found[2])}f" if found[2] else _LETTERS[found[0]]

    return re.sub(r"'([^']*)'|\.?(S+)|([A-Za-z])\3*", word, pattern.replace("%", "%%"))


def _since_1970(text: pl.Series, units: int) -> pl.Series:
    plain = text.cast(pl.Int64, strict=False)
    if plain.null_count() > text.null_count():  # 1659304800.025, 1.6593048e9
        number = text.cast(pl.Float64, strict=False)
        micros = (number * (1_000_000 / units)).round()
        micros = micros.set(~micros.is_finite() | (micros < _LOW) | (micros > _HIGH), None).cast(pl.Int64)
    else:
        limit = _HIGH * units // 1_000_000
        micros = plain.set((plain < -limit) | (plain > limit), None) * (1_000_000 // units)
    return micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _iso(text: pl.Series, time_zone: str | None) -> pl.Series:
    with_t = text
    if _has_blank(text):  # 2020-09-01 10:00:00 UTC, as BigQuery writes it
        with_t = text.str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.replace(r" UTC$", "Z")
    found = with_t.str.to_datetime("%+", strict=False, time_unit="us").cast(_UTC)  # in half the time of the next
    if found.null_count() == text.null_count():
        return found
    for further in ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%dT%H:%M"):
        found = _where_null(found, with_t, partial(_by_strptime, like=further, time_zone=time_zone))
    return found


def _has_blank(text: pl.Series) -> bool:
    return bool(text.str.contains(" ", literal=True).any())


def _by_pattern(text: pl.Series, pattern: str, time_zone: str | None) -> pl.Series:
    return _by_strptime(text, strptime_of(pattern), time_zone)


def _by_strptime(text: pl.Series, like: str, time_zone: str | None) -> pl.Series:
    return _zoned(text.str.to_datetime(like, strict=False, time_unit="us"), time_zone)


def _zoned(moment: pl.Series, time_zone: str | None) -> pl.Series:
    if moment.dtype.time_zone:  # type: ignore[attr-defined]
        return moment.cast(_UTC)
    return moment.dt.replace_time_zone(time_zone or "UTC", ambiguous="earliest", non_existent="null").cast(_UTC)


def _where_null(found: pl.Series, text: pl.Series, parse: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """What was found, and where that is nothing what `parse` makes of the texts."""
    rest = found.is_null() & text.is_not_null()
    return found.scatter(rest.arg_true(), parse(text.filter(rest))) if rest.any() else found
