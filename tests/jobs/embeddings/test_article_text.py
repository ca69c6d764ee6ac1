"""What is said of an article, as one text."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from jobs.embeddings.article_text import COLUMNS, checksums, full_text, short_texts

ROWS = [
    ("Ida", "Red", "Dress", "Ladieswear", "Jersey", "A soft\n  dress. "),
    (None, "Red", None, "  ", None, None),
    (None, None, None, None, None, None),
    ("Ida", None, "Dress", None, None, "👗"),
]
ARTICLES = pa.table([pa.array(list(column), pa.string()) for column in zip(*ROWS, strict=True)], names=list(COLUMNS))


def test_the_text_says_what_there_is() -> None:
    assert full_text(ARTICLES).to_pylist() == [
        "Ida. Red Dress. Ladieswear. Jersey. A soft dress.",
        "Red",
        None,
        "Ida. Dress. 👗",
    ]


def test_short_texts_are_what_a_shopper_says() -> None:
    assert [list(texts) for texts in zip(*(part.to_pylist() for part in short_texts(ARTICLES)), strict=True)] == [
        ["Ida", "Red Ida", "Red Dress", "Ladieswear Red Dress"],
        [None, "Red", "Red", "Red"],
        [None, None, None, None],
        ["Ida", "Ida", "Dress", "Dress"],
    ]


def test_checksums() -> None:
    digest = hashlib.sha256("é".encode()).hexdigest()
    assert checksums(pa.array(["é", None, "é"])).to_pylist() == [digest, None, digest]
