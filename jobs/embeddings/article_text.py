"""What is said of an article, as one text: name, colour and type, audience, department, description.

An attribute that is missing or blank is left out; an article without any has no text.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

#: Columns of silver/articles that the texts are made of.
COLUMNS = (
    "prod_name",
    "colour_group_name",
    "product_type_name",
    "index_group_name",
    "department_name",
    "detail_desc",
)


def full_text(articles: pa.Table) -> pa.StringArray:
    """All that is said of each article, null where nothing is: "Ida. Red Dress. Ladieswear. Jersey. A soft dress"."""
    name, colour, kind, audience, department, description = (_column(articles, column) for column in COLUMNS)
    return _joined(". ", name, _joined(" ", colour, kind), audience, department, description)


def short_texts(articles: pa.Table) -> list[pa.StringArray]:
    """How a shopper would say it: parts of each article's text, null where they are missing."""
    name, colour, kind, audience = (_column(articles, column) for column in COLUMNS[:4])
    return [name, _joined(" ", colour, name), _joined(" ", colour, kind), _joined(" ", audience, colour, kind)]


def checksums(texts: pa.StringArray) -> pa.StringArray:
    """SHA-256 of each text, null where there is none."""
    found = pc.dictionary_encode(texts)
    digests = pa.array(
        [hashlib.sha256(text.encode()).hexdigest() for text in found.dictionary.to_pylist()], pa.string()
    )
    return digests.take(found.indices)


def _column(articles: pa.Table, name: str) -> pa.StringArray:
    """A column with single spaces between words, null where blank."""
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(articles[name].combine_chunks(), r"\s+", " "))
    return pc.if_else(pc.equal(words, ""), None, words)


def _joined(between: str, *parts: pa.StringArray) -> pa.StringArray:
    """Each row's parts, without those that are null; null where all are."""
    first = pa.repeat("", len(parts[0]))  # Arrow loses a row of which every part is skipped
    text = pc.binary_join_element_wise(first, *parts, between, null_handling="skip")
    return pc.if_else(pc.equal(text, ""), None, pc.utf8_slice_codeunits(text, len(between)))
