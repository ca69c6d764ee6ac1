"""What texts mean: numbers, days, yes-or-no, ids and words for nothing, as shops and programs write them."""

from datetime import date

import pyarrow as pa
import pytest

from jobs.ingest.dates import day_parser
from jobs.ingest.file_format import FileFormat
from jobs.ingest.values import emptied, is_rounded, number_parser, plain_ids, whole_parser, yes_or_no

GERMAN = {"decimal": ",", "thousands": ".", "currency": "€"}


def said(**options: object) -> FileFormat:
    return FileFormat.model_validate(options)


@pytest.mark.parametrize(
    ("options", "text", "value"),
    [
        ({}, "0.0508", 0.0508),
        ({}, "5.08e-2", 0.0508),
        ({}, "+3", 3.0),
        ({}, "3-", -3.0),
        ({}, "(3)", -3.0),
        ({}, "\u22123.5", -3.5),  # a minus as typesetters write it
        ({}, "\u00a03 ", 3.0),
        ({}, '="3.5"', 3.5),
        ({}, ".5", 0.5),
        ({}, "5.", 5.0),
        ({}, "1\u00a0234\u00a0567.5", 1_234_567.5),
        ({}, "1 234", 1234.0),
        ({}, "1\u202f234", 1234.0),
        ({}, "1'234.50", 1234.5),
        ({}, "12 34", None),
        ({}, "1 234'567", None),
        ({}, "1,234", None),  # one thousand, or one? The mapping has to say
        ({}, "1,234.5", None),
        ({"thousands": ","}, "1,234.5", 1234.5),
        ({"thousands": ","}, "1,234,567", 1_234_567.0),
        ({"thousands": ","}, "1,23", None),
        ({"thousands": ","}, "1,234,56", None),
        (GERMAN, "1.234,56 €", 1234.56),
        (GERMAN, "€ 1.234,56", 1234.56),
        (GERMAN, "-€5", -5.0),
        (GERMAN, "5,00-€", -5.0),
        (GERMAN, "(5,5 €)", -5.5),
        (GERMAN, "1.234", 1234.0),
        (GERMAN, "1.5", None),
        (GERMAN, "€5€", None),
        (GERMAN, "5 $", None),
        ({"currency": "kr."}, "5.50 kr.", 5.5),
        ({}, "5 €", None),
        ({}, "--3", None),
        ({}, "(-3)", None),
        ({}, "(3", None),
        ({}, "", None),
        ({}, ".", None),
        ({}, "-", None),
        ({}, "nan", None),
        ({}, "1e999", None),
        ({}, "1_0", None),
        ({}, "٣", None),  # an Arabic digit
    ],
)
def test_a_number_by_the_marks_of_the_mapping(options: dict[str, str], text: str, value: float | None) -> None:
    assert number_parser(said(**options))(text) == value


def test_whole_numbers_and_yes_or_no() -> None:
    whole = whole_parser(said())
    assert [whole(text) for text in ("253", "253.0", "+3", "3-", "2147483648", "1.5", "x")] == [
        *(253, 253, 3, -3),
        *(None, None, None),
    ]
    assert [yes_or_no(text) for text in ("1", "1.0", "TRUE", "y", "0", "no", " f ", "2", "")] == [
        *(True, True, True, True),
        *(False, False, False),
        *(None, None),
    ]


@pytest.mark.parametrize(
    ("date_format", "text", "day"),
    [
        ("yyyy-MM-dd", "2020-09-23", date(2020, 9, 23)),
        ("yyyy-MM-dd", "2020-09-23T00:00:00.000", date(2020, 9, 23)),
        ("yyyy-MM-dd", "2020-09-23 10:00", None),  # a moment: its day may depend on a zone
        ("yyyy-MM-dd", "2019-02-29", None),
        ("yyyy-MM-dd", "20200923", None),
        ("yyyyMMdd", "20200923", date(2020, 9, 23)),
        ("yyyyMMdd", "2020923", None),
        ("dd/MM/yyyy", "03/09/2020", date(2020, 9, 3)),
        ("MM/dd/yyyy", "03/09/2020", date(2020, 3, 9)),
        ("d.M.yy", "3.9.20", date(2020, 9, 3)),
        ("dd-MMM-yy", "23-SEP-20", date(2020, 9, 23)),
        ("dd-MMM-yy", "23-XXX-20", None),
        ("yyyy-MM-dd HH:mm:ss", "2020-09-23 23:59:59", date(2020, 9, 23)),
        ("yyyy-MM-dd HH:mm:ss", "2020-09-23 25:00:00", None),
        ("yyyy-MM-dd'T'HH:mm:ss.SXXX", "2020-09-22T22:30:00.0Z", date(2020, 9, 23)),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2020-09-23T00:30:00+09:00", date(2020, 9, 22)),
        ("epoch_second", "1600812000", date(2020, 9, 23)),  # 22:00 in UTC
        ("epoch_millis", "1600812000000", date(2020, 9, 23)),
        ("epoch_micros", "1600812000000000", date(2020, 9, 23)),
        ("epoch_second", "1600812000000", None),
        ("epoch_second", "soon", None),
    ],
)
def test_a_day_by_the_format_and_zone_of_the_mapping(date_format: str, text: str, day: date | None) -> None:
    assert day_parser(date_format, "Europe/Stockholm")(text) == day


def test_a_moment_is_of_utc_unless_the_mapping_names_a_zone() -> None:
    assert day_parser("epoch_second", None)("1600812000") == date(2020, 9, 22)


def encoded(*texts: str | None) -> pa.DictionaryArray:
    return pa.array(texts, pa.string()).dictionary_encode()


def test_ids_get_back_what_programs_took_away() -> None:
    came = ["0900000001", "900000001", "900000001.0", " 900000001 ", '="0900000001"', "'0900000001", "9.00000001E8"]
    assert plain_ids(encoded(*came), 10).to_pylist() == ["0900000001"] * len(came)
    without = plain_ids(
        encoded("900000001", "900000001.0", "0012", "sku 1.0", "12.50", "\ufeffa\u00a0", " ", None), None
    )
    assert without.to_pylist() == ["900000001", "900000001", "0012", "sku 1.0", "12.50", "a", None, None]
    untouched = encoded("0900000001", "a" * 64)
    assert plain_ids(untouched, 10) is untouched


def test_an_id_that_lost_digits_is_no_id() -> None:
    assert is_rounded(encoded("9.12E+11", "900000000e+0", "9.1E8", "9e+05", "12E4", "900000001", None)).tolist() == [
        *(True, True, True),
        *(False, False, False, False),  # 9e+05 is R's word for 900000, and 12E4 may well be an article
    ]


def test_words_for_nothing() -> None:
    came = encoded("NULL", "\\N", "nan", " None ", "#N/A", "0", "-", "ACTIVE", None)
    assert emptied(came, said()).to_pylist() == [None, None, None, None, None, "0", "-", "ACTIVE", None]
    assert emptied(came, said(nullValue=["-", "0"])).to_pylist()[4:7] == ["#N/A", None, None]
    assert emptied(encoded("null", "NULL", "-"), said(nullValue=["null", "-"])).to_pylist() == [None, "NULL", None]
    assert emptied(encoded("x", "-"), said(nullValue="-")).to_pylist() == ["x", None]
    assert emptied(came, said(nullValue=[])) is came
