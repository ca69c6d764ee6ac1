"""Lists and dictionaries written as text, in JSON or as Python prints them. Nothing is ever run."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_LENGTH, MAX_DEPTH, MAX_VALUES = 200_000, 8, 20_000
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<mark>[\[\]{}:,()]) |
    (?P<text>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*') |
    (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)(?![\w.]) |
    (?P<word>[A-Za-z_]\w*)
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {
    "True": True,
    "False": False,
    "None": None,
    "true": True,
    "false": False,
    "null": None,
    "nan": None,
    "NaN": None,
}
_ESCAPE = re.compile(r"\\(U[0-9a-fA-F]{8}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def literal(text: str) -> Any:
    """What the text says: numbers, texts, yes or no, nothing, lists, dictionaries, and ObjectId("...") as its text.

    Text that was escaped once more, as a whole, is unescaped first.

    Raises ValueError on anything else, and beyond MAX_LENGTH characters, MAX_DEPTH levels or MAX_VALUES values.
    """
    for _ in range(3):
        if len(text) > MAX_LENGTH:
            raise ValueError(f"more than {MAX_LENGTH:,} characters")
        found = _Parser(text).whole()
        if not isinstance(found, str) or not found.strip().startswith(("[", "{")):
            return found
        text = found
    raise ValueError("escaped too often")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._values = text, 0, 0
        self._kind, self._token = "", ""
        self._advance()

    def whole(self) -> Any:
        found = self._value(0)
        if self._kind != "end":
            raise ValueError(f"{self._token!r} after its end")
        return found

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found:
            self._at, self._kind, self._token = found.end(), str(found.lastgroup), found[str(found.lastgroup)]
        elif self._text[self._at :].strip():
            raise ValueError(f"no literal at {self._text[self._at : self._at + 20]!r}")
        else:
            self._kind, self._token = "end", ""

    def _take(self, mark: str) -> bool:
        if (self._kind, self._token) != ("mark", mark):
            return False
        self._advance()
        return True

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise ValueError(f"{mark!r} expected, not {self._token[:20]!r}")

    def _value(self, depth: int) -> Any:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise ValueError(f"more than {MAX_DEPTH} levels, or {MAX_VALUES:,} values")
        kind, token = self._kind, self._token
        self._advance()
        if kind == "text":
            return _whole_text(token[1:-1])
        if kind == "number":
            return float(token) if re.search("[.eE]", token) or len(token) > 18 else int(token)
        if kind == "word" and token in _WORDS:
            return _WORDS[token]
        if kind == "word" and token == "ObjectId":
            self._need("(")
            found = self._value(depth + 1)
            self._need(")")
            return str(found)
        if (kind, token) == ("mark", "["):
            return self._items("]", depth, lambda: self._value(depth + 1))
        if (kind, token) == ("mark", "{"):
            return dict(self._items("}", depth, lambda: self._pair(depth)))
        raise ValueError(f"{token[:20]!r} is no literal" if token else "nothing there")

    def _pair(self, depth: int) -> tuple[str, Any]:
        key = self._value(depth + 1)
        if not isinstance(key, str | int):
            raise ValueError("a key that is neither text nor number")
        self._need(":")
        return str(key), self._value(depth + 1)

    def _items(self, end: str, depth: int, one: Any) -> list[Any]:
        found: list[Any] = []
        while not self._take(end):
            found.append(one())
            if not self._take(","):
                self._need(end)
                break
        return found


def _whole_text(quoted: str) -> str:
    """The text without escapes; JSON writes an emoji as two that are no characters by themselves."""
    try:
        return _ESCAPE.sub(_unescaped, quoted).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError("an escape that is half a character") from None


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, code)


def as_text(value: Any) -> str:
    """A value of an attribute as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
