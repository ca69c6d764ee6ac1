"""Image files as pixels, safely: a bad file becomes a reason, never a crash."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow.fs as pafs
from PIL import ExifTags, Image, UnidentifiedImageError

from jobs.platform import storage

#: A file that claims more is taken for a decompression bomb (a 4:3 camera picture of this size is 8,165 x 6,124).
MAX_PIXELS = 50_000_000
#: One that is so many times as long as wide shows no product, and scaled up to a network's width it would fill memory.
MAX_ASPECT = 100
MAX_BYTES = 64 * 2**20
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
#: EXIF orientation -> what makes it upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Of a file that is not what it was when it was checksummed: the next run looks again.
CHANGED = "changed while it was read"
#: Of one that lies elsewhere.
OUTSIDE = "path leaves the image folder; name the folder that links lead into as image_links in the mapping"
#: A path, or an object-store URI.
Location = str | Path
CPUS = len(os.sched_getaffinity(0))


def processes(module: str) -> BaseContext:
    """How processes are started: by a server that has imported `module`, so that not each of them has to."""
    context = get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


@dataclass(frozen=True)
class ImageFile:
    """What lies at an article's image path: readable so far (ok), missing, or broken.

    `error` is the reason why it is broken, or what had to be converted in one that is not; `checksum` the SHA-256 of
    the file's bytes, None where there are none to read.
    """

    status: Literal["ok", "missing", "broken"]
    error: str | None = None
    checksum: str | None = None


def read(path: Location, roots: Sequence[Location]) -> tuple[ImageFile, bytes]:
    """Read and checksum the file at `path`, which must lie below one of `roots` even through links.

    All of them may be URIs.
    """
    try:
        if not _is_inside(path, roots):
            return ImageFile("broken", OUTSIDE), b""
        filesystem, place = storage.filesystem(str(path))
        info = filesystem.get_file_info(place)
        if info.type == pafs.FileType.NotFound:
            return ImageFile("missing"), b""
        if info.type != pafs.FileType.File:
            return ImageFile("broken", "not a file"), b""
        if info.size > MAX_BYTES:
            return ImageFile("broken", f"file of {info.size:,} bytes, more than {MAX_BYTES:,}"), b""
        with filesystem.open_input_stream(place) as stream:
            content = stream.read()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle
        return ImageFile("broken", f"cannot be read: {getattr(error, 'strerror', None) or error}"), b""
    checksum = hashlib.sha256(content).hexdigest()
    return (ImageFile("ok", None, checksum) if content else ImageFile("broken", "empty file", checksum)), content


def _is_inside(path: Location, roots: Sequence[Location]) -> bool:
    if storage.is_uri(path):  # an object has no links, and its name is taken as it is
        return ".." not in str(path).split("/")
    return any(Path(path).resolve().is_relative_to(Path(root).resolve()) for root in roots)


class Opened(NamedTuple):
    """A decoded picture (RGB, upright, maybe at a fraction of its size), its remark, its file's width and height."""

    image: Image.Image
    remark: str | None
    size: tuple[int, int]


def open_known(
    path: Location, roots: Sequence[Location], checksum: str | None, at_least: tuple[int, int]
) -> tuple[ImageFile, Opened | None]:
    """The picture in a file that had this checksum before, and what became of the file; None where it is broken."""
    file, content = read(path, roots)
    if file.checksum != checksum:
        return ImageFile("broken", CHANGED, checksum), None
    try:
        opened = open_image(content, at_least)
    except ValueError as error:
        return ImageFile("broken", str(error), checksum), None
    return ImageFile("ok", opened.remark, checksum), opened


def open_rgb(content: bytes, at_least: tuple[int, int]) -> tuple[Image.Image, str | None]:
    """The picture and the remark of open_image."""
    return open_image(content, at_least)[:2]


def open_image(content: bytes, at_least: tuple[int, int]) -> Opened:
    """Decode the first frame of an image as RGB, on white where it is transparent, upright by its EXIF orientation.

    Returns it with a remark where it is of a kind that product pictures should not be: animated, CMYK, 16 bits.

    A JPEG may be decoded at a fraction of its size, but no smaller than `at_least` (width, height), which is many
    times faster. Raises ValueError with the reason when the content is no usable image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is stricter
            image: Image.Image = Image.open(BytesIO(content), formats=FORMATS)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width:,} x {height:,} pixels, more than {MAX_PIXELS:,}")
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise ValueError(f"{width:,} x {height:,} pixels: more than {MAX_ASPECT} times as long as wide")
        image.draft("RGB", at_least)
        image.load()
        remark = _remark(image)
        if (orientation := _orientation(image)) is None:
            remark, orientation = remark or "EXIF orientation unknown: taken as upright", 1
        if (turn := _TURNS.get(orientation)) is not None:
            image = image.transpose(turn)
        return Opened(_rgb(image), remark, (height, width) if orientation >= 5 else (width, height))
    except UnidentifiedImageError:
        raise ValueError("not an image of a known format") from None
    except ValueError:
        raise
    except Exception as error:  # decoders raise SyntaxError, struct.error, OSError, ...: all mean a bad file
        raise ValueError(str(error) or type(error).__name__) from error


def _orientation(image: Image.Image) -> int | None:
    """How the camera was held, 1 (upright) to 8, also where it is written as text or bytes; None where unknown."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        if isinstance(value, bytes):
            value = int.from_bytes(value.strip(b"\0"), "big")
        number = int(value)
    except Exception:  # EXIF is written by anything: it may be broken in any way, and the picture whole
        return None
    return number if 1 <= number <= 8 else None


def _remark(image: Image.Image) -> str | None:
    if getattr(image, "is_animated", False):
        return "animated: its first frame was taken"
    if image.mode == "CMYK":
        return "CMYK: converted to RGB"
    return "16 bits a pixel: scaled to 8" if image.mode.startswith("I") else None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip to white
        return Image.fromarray((np.asarray(image).clip(0, 65_535) / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose scale is unknown")
    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, "white")
        background.alpha_composite(image.convert("RGBA"))
        return background.convert("RGB")
    return image.convert("RGB")


def inspect_all(paths: Sequence[Location], roots: Sequence[Location]) -> list[ImageFile]:
    """Checksum many files, on all cores."""
    with ThreadPoolExecutor(CPUS) as pool:
        return list(pool.map(lambda path: read(path, roots)[0], paths))
