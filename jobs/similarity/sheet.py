"""A contact sheet: one picture, and beside it those that are like it, each with its caption."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from PIL import Image, ImageDraw, ImageFont, ImageOps

from jobs.embeddings.decode import open_rgb

#: Pixels: width and height of a small picture, of a line of caption, and between things.
WIDTH, HEIGHT, LINE, GAP = 200, 300, 18, 16
#: The first picture is so many times as large as the others.
LARGE = 1.5
COLUMNS, CAPTION_LINES = 5, 3
INK, PALE = (30, 30, 30), (225, 225, 225)


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet: its file's content, None for none, and what is written below it, line by line."""

    content: bytes | None
    caption: tuple[str, ...]


def draw_sheet(tiles: Sequence[Tile]) -> Image.Image:
    """The sheet: the first tile large on the left, the others in rows of COLUMNS on the right."""
    left = GAP + int(LARGE * WIDTH) + 2 * GAP
    step = HEIGHT + CAPTION_LINES * LINE + GAP
    columns, rows = min(COLUMNS, max(len(tiles) - 1, 1)), max(ceil((len(tiles) - 1) / COLUMNS), 1)
    height = max(rows * step, int(LARGE * HEIGHT) + LINE + GAP) + GAP
    sheet = Image.new("RGB", (left + columns * (WIDTH + GAP), height), "white")
    place(sheet, tiles[0], (GAP, GAP), (int(LARGE * WIDTH), int(LARGE * HEIGHT)))
    for n, tile in enumerate(tiles[1:]):
        row, column = divmod(n, COLUMNS)
        place(sheet, tile, (left + column * (WIDTH + GAP), GAP + row * step), (WIDTH, HEIGHT))
    return sheet


def place(sheet: Image.Image, tile: Tile, corner: tuple[int, int], size: tuple[int, int]) -> None:
    """Draw a tile: its picture in a box of that size at that corner, its caption below the box."""
    x, y = corner
    sheet.paste(_picture(tile.content, size), corner)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), outline=PALE)
    for n, text in enumerate(tile.caption):
        draw.text((x, y + size[1] + 4 + n * LINE), _fitted(text, draw, font, size[0]), INK, font)


def _picture(content: bytes | None, size: tuple[int, int]) -> Image.Image:
    """The whole picture on white; grey where there is none that can be shown."""
    if content:
        with contextlib.suppress(ValueError):
            return ImageOps.pad(open_rgb(content, size)[0], size, color="white")
    return Image.new("RGB", size, PALE)


def _fitted(
    text: str, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    """The text, cut where it is wider than that."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}...", font) > width:
        text = text[:-1]
    return f"{text}..."
