"""Texts as people and programs write numbers, yes-or-no and ids, and what they mean."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.file_format import FileFormat

_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_EXCEL = re.compile(r'="(.*)"')
#: Marks before groups of three digits that mean nothing else: blanks, and Swiss apostrophes.
_GROUPERS = " \u00a0\u2007\u2009\u202f'\u2019"
_SIGN = "[+\u2212\u2013\uff0d-]"
_FALSE, _TRUE = re.compile(r"(?i)0(\.0*)?|false|f|no|n"), re.compile(r"(?i)1(\.0*)?|true|t|yes|y")
_INT32 = range(-(2**31), 2**31)

#: Ids that are something else than they say, or only whole numbers.
_ODD_ID = r"""^[\s\x{A0}\x{FEFF}='0-9.]*$|^[\s\x{A0}\x{FEFF}=']|[\s\x{A0}]$|^[0-9.]+[eE][+-]?[0-9]+$"""
_WHOLE_ID = re.compile(r"([0-9]+)\.0*")
#: As Java writes a whole double. With a plus sign (Excel, Python) digits were lost, unless there is only one: R writes
#: the id 900000 as 9e+05, and all tables have it so.
_JAVA_ID = re.compile(r"[0-9]\.[0-9]+E[0-9]{1,2}")
_ROUNDED_ID = r"^[0-9]\.[0-9]+[eE]\+?[0-9]+$|^[0-9]{2,}[eE]\+[0-9]+$"


def unwrapped(text: str) -> str:
    """Without the blanks around it, and what spreadsheets need to take it as text: ="0123" and '0123."""
    text = text.strip().strip("\ufeff")
    if found := _EXCEL.fullmatch(text):
        text = found[1].strip()
    return text[1:] if text[:1] == "'" and text[1:].isdigit() else text


def number_parser(said: FileFormat) -> Callable[[str], float | None]:
    """What reads a text as a finite number: None where it is none by the mapping's marks.

    Python's own float() also takes "1_0", "nan" and "infinity".
    """
    mark = re.escape(said.decimal)
    grouper = f"[{_GROUPERS}{re.escape(said.thousands)}]"
    grouped = rf"[0-9]{{1,3}}(?P<mark>{grouper})[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*"
    currency = rf"(?:{re.escape(said.currency)})" if said.currency else "(?!)"
    whole = re.compile(
        rf"(?P<open>\()?\s*(?P<sign1>{_SIGN})?\s*(?P<unit1>{currency})?\s*(?P<sign2>{_SIGN})?\s*"
        rf"(?P<whole>{grouped}|[0-9]*)(?:{mark}(?P<part>[0-9]*))?(?P<power>[eE][+-]?[0-9]+)?"
        rf"\s*(?P<sign3>{_SIGN})?\s*(?P<unit2>{currency})?\s*(?P<sign4>{_SIGN})?\s*(?P<close>\))?"
    )

    def parse(text: str) -> float | None:
        if said.decimal == "." and _PLAIN.fullmatch(text):
            return _finite(text)
        found = whole.fullmatch(unwrapped(text))
        if not found or not (found["whole"] or found["part"]):
            return None
        signs = [sign for n in "1234" if (sign := found[f"sign{n}"])]
        is_bracketed = bool(found["open"])
        if is_bracketed != bool(found["close"]) or len(signs) + is_bracketed > 1 or (found["unit1"] and found["unit2"]):
            return None
        digits = re.sub(r"\D", "", found["whole"] or "")
        value = _finite(f"{digits or 0}.{found['part'] or 0}{found['power'] or ''}")
        is_negative = is_bracketed or (bool(signs) and signs[0] != "+")
        return -value if value is not None and is_negative else value

    return parse


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def whole_parser(said: FileFormat) -> Callable[[str], int | None]:
    """What reads a text as a whole number of 32 bits; "253.0" is 253."""
    number = number_parser(said)

    def parse(text: str) -> int | None:
        value = number(text)
        return int(value) if value is not None and value == int(value) and int(value) in _INT32 else None

    return parse


def yes_or_no(text: str) -> bool | None:
    text = unwrapped(text)
    return True if _TRUE.fullmatch(text) else False if _FALSE.fullmatch(text) else None


def emptied(text: pa.DictionaryArray, said: FileFormat) -> pa.DictionaryArray:
    """The texts, null where they are one of the mapping's words for that; its own are taken as they are written."""
    words = said.empty_words
    if not words:
        return text
    # Blanks around a word count for nothing; the most of them are ids, too long to be looked into.
    short = pc.less_equal(pc.binary_length(text.dictionary), max(map(len, words)) + 2)
    if not pc.any(short).as_py():
        return text
    found = pc.utf8_trim_whitespace(pc.if_else(short, text.dictionary, None))
    if said.null_value is None:
        found, words = pc.utf8_lower(found), tuple(word.lower() for word in words)
    is_word = pc.is_in(found, value_set=pa.array(words, pa.string()))
    if not pc.any(is_word).as_py():
        return text
    return pa.DictionaryArray.from_arrays(pc.if_else(is_word.take(text.indices), None, text.indices), text.dictionary)


def plain_ids(text: pa.DictionaryArray, width: int | None) -> pa.DictionaryArray:
    """Ids without what spreadsheets, databases and numbers add to them or take from them.

    Blanks around them go; whole floats become whole; what has digits alone gets zeros before it, up to `width`.
    """
    ids = text.dictionary
    is_odd = pc.match_substring_regex(ids, _ODD_ID)
    if not pc.any(is_odd).as_py():
        return text
    plain = pa.array([_plain_id(found, width) for found in ids.filter(is_odd).to_pylist()], pa.string())
    mended = pc.replace_with_mask(ids, is_odd, plain)
    return text if mended.equals(ids) else mended.take(text.indices).dictionary_encode()


def _plain_id(text: str, width: int | None) -> str | None:
    text = unwrapped(text)
    if found := _WHOLE_ID.fullmatch(text):
        text = found[1]
    elif _JAVA_ID.fullmatch(text) and (number := Decimal(text)) == int(number) < 2**53:
        text = str(int(number))
    return (text.zfill(width) if width and text.isascii() and text.isdigit() else text) or None


def is_rounded(text: pa.DictionaryArray) -> npt.NDArray[np.bool_]:
    """True for ids that a program wrote as a number with too few digits (9.12E+11): what they were is lost."""
    rounded = pc.match_substring_regex(text.dictionary, _ROUNDED_ID)
    return rounded.take(text.indices).fill_null(False).to_numpy(zero_copy_only=False)
