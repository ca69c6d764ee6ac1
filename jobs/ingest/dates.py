"""Days out of texts, by a pattern of Spark's letters."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

#: Formats that are no pattern -> how many of a second's units a number counts since 1970.
EPOCHS = {"epoch_second": 1, "epoch_millis": 1_000, "epoch_micros": 1_000_000}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PARTS = {
    "yyyy": r"(?P<year>[0-9]{4})",
    "yy": r"(?P<year>[0-9]{2})",
    "MMM": r"(?P<month>[A-Za-z]{3})",
    "MM": r"(?P<month>[0-9]{2})",
    "M": r"(?P<month>[0-9]{1,2})",
    "dd": r"(?P<day>[0-9]{2})",
    "d": r"(?P<day>[0-9]{1,2})",
    "HH": r"(?P<hour>[0-9]{2})",
    "H": r"(?P<hour>[0-9]{1,2})",
    "mm": r"(?P<minute>[0-9]{2})",
    "ss": r"(?P<second>[0-9]{2})",
    "XXX": r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})",
}
_FRACTION = r"[0-9]{1,9}"
_PIECE = re.compile(r"'([^']*)'|([A-Za-z])\2*|([^A-Za-z'])")
#: Midnight without a zone, which programs add to a day.
_MIDNIGHT = r"(?:[ T]00:00(?::00(?:\.0+)?)?)?"


@lru_cache
def date_pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a pattern such as yyyy-MM-dd, with groups year, month, day and maybe more.

    Raises ValueError where it has letters of no meaning here, or lacks year, month or day.
    """
    expression, names = "", set()
    for piece in _PIECE.finditer(text):
        letters = piece[0]
        if piece[1] is not None:
            expression += re.escape(piece[1] or "'")
        elif piece[2] is None:
            expression += re.escape(letters)
        elif set(letters) == {"S"}:
            expression += _FRACTION
        elif letters in _PARTS:
            expression += _PARTS[letters]
            names |= set(re.findall(r"P<(\w+)>", _PARTS[letters]))
        else:
            raise ValueError(f"{letters} in {text!r} is none of {', '.join(_PARTS)}, S")
    if missing := [name for name in ("year", "month", "day") if name not in names]:
        raise ValueError(f"{text!r} has no {', '.join(missing)}; give one such as yyyy-MM-dd or dd/MM/yyyy")
    try:
        return re.compile(expression if "hour" in names else expression + _MIDNIGHT)
    except re.error:
        raise ValueError(f"{text!r} has a part twice") from None


def day_parser(date_format: str, time_zone: str | None) -> Callable[[str], date | None]:
    """What reads a text as a day: None where it is none.

    Args:
        date_format: a pattern, or one of EPOCHS.
        time_zone: whose days are meant where the text says a moment; None: UTC's.
    """
    zone = ZoneInfo(time_zone or "UTC")
    if date_format in EPOCHS:
        return lambda text: _since_1970(text, EPOCHS[date_format], zone)
    pattern = date_pattern(date_format)
    return lambda text: _day(found, zone) if (found := pattern.fullmatch(text)) else None


def _since_1970(text: str, units: int, zone: ZoneInfo) -> date | None:
    try:
        whole = re.fullmatch(r"(-?[0-9]{1,18})(?:\.[0-9]*)?", text)
        return (
            (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(whole[1]) / units)).astimezone(zone).date()
            if whole
            else None
        )
    except OverflowError:
        return None


def _day(found: re.Match[str], zone: ZoneInfo) -> date | None:
    parts = found.groupdict()
    year = int(parts["year"]) + (2000 if len(parts["year"]) == 2 else 0)
    month = parts["month"].lower()
    if month.isalpha() and month not in _MONTHS:
        return None
    try:
        day = date(year, _MONTHS.index(month) + 1 if month.isalpha() else int(month), int(parts["day"]))
        if parts.get("hour") is None:
            return day
        hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
        moment = datetime(day.year, day.month, day.day, hour, minute, second)
        if offset := parts.get("zone"):
            moment = datetime.fromisoformat(f"{moment.isoformat()}{offset}").astimezone(zone)
        return moment.date()
    except (ValueError, OverflowError):  # 2019-02-29, 25:00
        return None
