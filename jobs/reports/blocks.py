"""What a run's page is made of: tiles, tables, figures and lists of pictures, as HTML; all that is text is escaped."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from io import BytesIO
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from PIL import Image

from jobs.embeddings.decode import open_rgb
from jobs.similarity.sheet import Tile

_TEMPLATES = Path(__file__).with_name("templates")
#: The look of Data Docs.
_CSS = Path(__file__).resolve().parents[1] / "platform" / "data_docs_templates" / "data_docs.css"
#: Pixels of a product's picture, and JPEG quality.
_THUMBNAIL, _QUALITY = (150, 200), 72


@dataclass
class Section:
    """A heading of the page and what stands below it."""

    id: str
    title: str
    blocks: list[Markup] = field(default_factory=list)


def text(words: str) -> Markup:
    """A paragraph."""
    return Markup(f'<p class="lead">{escape(words)}</p>')


def heading(words: str) -> Markup:
    return Markup(f"<h3>{escape(words)}</h3>")


def link(href: str, words: str) -> Markup:
    """A paragraph with a link."""
    return Markup(f'<p><a href="{escape(href)}">{escape(words)}</a></p>')


def tiles(figures: Iterable[tuple[str, str, str, str]]) -> Markup:
    """Key figures: name, value, and two lines below it."""
    made = "".join(
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b>'
        f"<span>{escape(week)}</span><span>{escape(year)}</span></div>"
        for name, value, week, year in figures
    )
    return Markup(f'<div class="tiles">{made}</div>')


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Markup:
    """A table; columns in `numbers` are set to the right, and long text may wrap."""
    right = set(numbers)

    def cells(values: Sequence[object], tag: str) -> str:
        kinds = (' class="number"' if n in right else "" for n in range(len(values)))
        pairs = zip(values, kinds, strict=True)
        return "".join(f"<{tag}{kind}>{escape(str(value))}</{tag}>" for value, kind in pairs)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    if not body:
        return text("None.")
    head = f"<thead><tr>{cells(headings, 'th')}</tr></thead>"
    return Markup(f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>')


def figure(caption: str, svg: str, *, is_wide: bool = False) -> Markup:
    """A picture with its caption."""
    kind = ' class="wide"' if is_wide else ""
    return Markup(f"<figure{kind}><figcaption>{escape(caption)}</figcaption>{svg}</figure>")


def photograph(caption: str, content: bytes, most: tuple[int, int] = (1000, 1000)) -> Markup:
    """A picture of pixels with its caption, as a JPEG of no more than so many pixels."""
    return Markup(f"<figure><figcaption>{escape(caption)}</figcaption>{_jpeg(content, most, caption)}</figure>")


def grid(figures: Iterable[Markup]) -> Markup:
    """Pictures side by side as far as the page is wide."""
    return Markup(f'<div class="pictures">{"".join(figures)}</div>')


def beside(parts: Iterable[Markup]) -> Markup:
    """Parts beside each other where the page is wide enough, else below."""
    return Markup(f'<div class="beside">{"".join(f"<div>{part}</div>" for part in parts)}</div>')


def picks(name: str, shown: Sequence[Tile]) -> Markup:
    """A customer's last purchase and picks: pictures with their captions."""
    cells = []
    for n, tile in enumerate(shown):
        first, *rest = tile.caption
        words = f"{escape(first)}<em>{escape(' '.join(rest))}</em>"
        kind = "pick last" if n == 0 else "pick"
        cells.append(f'<div class="{kind}">{_image(tile.content, first)}{words}</div>')
    row = f'<div class="picks">{"".join(cells)}</div>'
    return Markup(f'<div class="person"><h3>{escape(name)}</h3>{row}</div>')


def _image(content: bytes | None, words: str) -> str:
    if content is not None:
        with contextlib.suppress(ValueError):
            return _jpeg(content, _THUMBNAIL, words)
    return '<div class="none"></div>'


def _jpeg(content: bytes, most: tuple[int, int], words: str) -> str:
    """An image element that holds the picture itself; raises ValueError where the content is no usable picture."""
    image, _ = open_rgb(content, most)
    image.thumbnail(most, Image.Resampling.LANCZOS)
    small = BytesIO()
    image.save(small, "JPEG", quality=_QUALITY, optimize=True)
    data = base64.b64encode(small.getvalue()).decode()
    return f'<img alt="{escape(words)}" src="data:image/jpeg;base64,{data}">'


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True)


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The whole page, which needs nothing but itself."""
    css = Markup(_CSS.read_text(encoding="utf-8"))
    return (
        _environment()
        .get_template("run.html")
        .render(title=title, lead=lead, sections=[s for s in sections if s.blocks], css=css)
    )
