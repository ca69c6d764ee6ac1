"""Misspelt words of a question: put right where the catalogue has a word that is nearly the same."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from difflib import SequenceMatcher

import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from jobs.embeddings.article_text import COLUMNS, full_text
from jobs.similarity.vectors import Read

_WORD = re.compile(r"[^\W\d_]+")
#: A shorter word is like too many; a rarer one may be misspelt itself; and how alike two words have to be.
SHORTEST, FEWEST, LIKENESS = 4, 3, 0.8
#: Words of a question that are looked at: a question has few.
MOST_WORDS = 20


def catalogue_words(read: Read) -> dict[str, int]:
    """The catalogue's words in lower case, those said more than once, and how often they are."""
    texts = full_text(read(ARTICLES, list(COLUMNS))).drop_null()
    words = pc.list_flatten(pc.split_pattern_regex(pc.utf8_lower(texts), r"[^\p{L}]+"))
    counts = pc.value_counts(words)
    names, how_often = counts.field("values"), counts.field("counts")
    often = pa.table({"word": names, "count": how_often}).filter(pc.greater_equal(how_often, FEWEST))
    return dict(zip(often["word"].to_pylist(), often["count"].to_pylist(), strict=True))


class Speller:
    """Words that are known, to put others right by.

    Args:
        words: known words in lower case, and how often each is said.
    """

    def __init__(self, words: Mapping[str, int]) -> None:
        self._words = words
        self._by_start: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in words:
            if len(word) >= SHORTEST:
                self._by_start[word[0], len(word)].append(word)

    def corrected(self, text: str) -> str:
        """The text with its misspelt words replaced; the rest as it was."""
        left = iter(range(MOST_WORDS))
        return _WORD.sub(lambda found: self._word(found[0]) if next(left, None) is not None else found[0], text)

    def _word(self, word: str) -> str:
        """The word itself where it is known, in one number or the other, or nothing is like it."""
        lower = word.lower()
        in_other_number = (
            lower.removesuffix("s"),
            lower.removesuffix("es"),
            lower if lower[-1] == "s" else f"{lower}s",
        )
        if len(word) < SHORTEST or lower in self._words or any(other in self._words for other in in_other_number):
            return word
        matcher = SequenceMatcher(b=lower, autojunk=False)
        best: tuple[float, int, str] | None = None
        for length in range(len(word) - 2, len(word) + 3):
            for known in self._by_start.get((lower[0], length), ()):
                matcher.set_seq1(known)
                if matcher.quick_ratio() >= LIKENESS and (ratio := matcher.ratio()) >= LIKENESS:
                    best = max(best or (0.0, 0, ""), (ratio, self._words[known], known))
        return best[2] if best else word
