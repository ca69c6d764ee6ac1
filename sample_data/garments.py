"""Outlines of garments and other goods on a canvas of 120 x 180, drawn as masks.

The outlines lie in vocabulary/shapes.csv, a piece per line: shape, operation, points as x/y. The points of `body`
(filled), `hole` (taken out again) and `seam` (a line) are the right half of the piece, x counted from the middle, and
are mirrored. The others take points of the canvas: `whole_body`, `whole_seam`, `strap` (a thick line), and, as the
two corners of a bounding box, `ring`, `disc_body` (cloth) and `disc` (a button).
"""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 120, 180
FINE = 2  # masks are drawn this many times larger, then reduced: smooth edges
Mask = NDArray[np.float32]
Points = list[tuple[float, float]]


@cache
def shapes() -> dict[str, list[tuple[str, Points]]]:
    """The pieces of every shape, in drawing order."""
    pieces: dict[str, list[tuple[str, Points]]] = {}
    for shape, operation, text in pl.read_csv(Path(__file__).parent / "vocabulary" / "shapes.csv").iter_rows():
        points = [(float(x), float(y)) for x, y in (point.split("/") for point in text.split())]
        pieces.setdefault(shape, []).append((operation, points))
    return pieces


def masks(shape: str, rng: np.random.Generator) -> tuple[Mask, Mask]:
    """Body and seams of a shape, (HEIGHT, WIDTH) in 0..1, each article a little wider, longer or askew."""
    stretch = rng.uniform([0.88, 0.92], [1.06, 1.04]) * FINE
    shift = rng.uniform(-3, 3, 2) + np.array([WIDTH / 2, HEIGHT / 2])
    lean = rng.uniform(-0.035, 0.035)
    width = int(rng.integers(7, 10))

    def place(points: Points) -> Points:
        return [
            (FINE * shift[0] + stretch[0] * (x + lean * (y - 90)), FINE * shift[1] + stretch[1] * (y - 90))
            for x, y in points
        ]

    size = (WIDTH * FINE, HEIGHT * FINE)
    body, seams = Image.new("L", size), Image.new("L", size)
    draw, stitch = ImageDraw.Draw(body), ImageDraw.Draw(seams)
    for operation, points in shapes()[shape]:
        right, left = place(points), place([(-x, y) for x, y in points])
        centred = place([(x - WIDTH / 2, y) for x, y in points])
        if operation in ("body", "hole"):
            for side in (right, left):
                draw.polygon(side, fill=255 if operation == "body" else 0)
        elif operation == "seam":
            stitch.line(right, fill=255, width=3)
            stitch.line(left, fill=255, width=3)
        elif operation == "whole_body":
            draw.polygon(centred, fill=255)
        elif operation == "whole_seam":
            stitch.line(centred, fill=255, width=3)
        elif operation == "strap":
            draw.line(centred, fill=255, width=6)
        elif operation == "ring":
            draw.ellipse([*centred[0], *centred[1]], outline=255, width=width)
        else:
            (stitch if operation == "disc" else draw).ellipse([*centred[0], *centred[1]], fill=255)
    fine = (np.asarray(layer.reduce(FINE), np.float32) for layer in (body, seams))
    cloth, line = (layer / np.float32(255) for layer in fine)
    return cloth, line
