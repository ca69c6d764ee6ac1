"""What a mapping may say about how a table's files are written, in the words of Spark's CSV reader where it has one."""

from __future__ import annotations

import codecs
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from jobs.ingest.dates import EPOCHS, date_pattern

#: Words for an empty value in numbers, dates, yes-or-no and ids, in any case. In other texts "None" may be a word.
EMPTY_WORDS = ("NULL", r"\N", "NaN", "None", "NA", "N/A", "#N/A", "<NA>")


class FileFormat(BaseModel):
    """How the files of one table are written.

    Attributes:
        sep, quote, escape: one ASCII character each; no `quote`: nothing is quoted; no `escape`: a quote within quotes
            is doubled.
        encoding: of files without a byte order mark.
        null_value: words for an empty value, in every column; None: EMPTY_WORDS.
        date_format: Spark's pattern, or one of EPOCHS.
        time_zone: whose days are meant where a moment has a time zone; None: that of the column in Parquet, else UTC.
        decimal, thousands: marks in numbers. Blanks and apostrophes before groups of three digits are always read.
        currency: sign that may precede or follow a number.
        multi_line: quoted fields may hold line breaks; else a quote is taken to be closed on its line.
        last_column_takes_rest: fields beyond the last column are part of it: names with unquoted commas.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=False, validate_by_alias=True)

    #: Whether the table's files may be JSON lines.
    takes_json: ClassVar[bool] = False

    sep: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: str = "utf-8"
    null_value: tuple[str, ...] | None = Field(default=None, alias="nullValue")
    date_format: str = Field(default="yyyy-MM-dd", alias="dateFormat")
    time_zone: str | None = Field(default=None, alias="timeZone")
    decimal: str = Field(default=".", pattern=r"^[.,]$")
    thousands: str = Field(default="", pattern=r"^[.,]?$")
    currency: str = ""
    multi_line: bool = Field(default=False, alias="multiLine")
    last_column_takes_rest: bool = False

    @property
    def empty_words(self) -> tuple[str, ...]:
        """What means no value in a column that is no text."""
        return EMPTY_WORDS if self.null_value is None else self.null_value

    @property
    def lists(self) -> tuple[tuple[str, str | None], ...]:
        """Columns that may be lists in Parquet; see Layout."""
        return ()

    @field_validator("sep", mode="before")
    @classmethod
    def _tab(cls, text: object) -> object:
        return "\t" if text == r"\t" else text

    @field_validator("sep", "quote", "escape")
    @classmethod
    def _one_character(cls, text: str) -> str:
        if len(text) > 1 or not text.isascii() or text in ("\r", "\n", "\0"):
            raise ValueError("must be one ASCII character, and no line break")
        return text

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            "".encode(name)
            found = codecs.lookup(name).name
            return "utf-8" if found in ("utf-8-sig", "ascii") else found
        except LookupError:
            raise ValueError(f"{name}: no such encoding; such as UTF-8, UTF-16LE, ISO-8859-1, windows-1252") from None

    @field_validator("null_value", mode="before")
    @classmethod
    def _one_word_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("date_format")
    @classmethod
    def _readable_pattern(cls, text: str) -> str:
        if text not in EPOCHS:
            date_pattern(text)
        return text

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        try:
            return name and ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name}: no such time zone; such as Europe/Stockholm") from None

    @model_validator(mode="after")
    def _told_apart(self) -> FileFormat:
        if not self.sep or self.sep in (self.quote, self.escape) or self.quote == self.escape != "":
            raise ValueError("sep, quote and escape must be different characters, and there must be a sep")
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands must be different marks")
        return self
