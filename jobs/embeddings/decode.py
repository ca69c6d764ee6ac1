"""Image files as pixels, safely: a bad file becomes a reason, never a crash."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: A file that claims more is taken for a decompression bomb (a 4:3 camera picture of this size is 8,165 x 6,124).
MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 2**20
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
CPUS = len(os.sched_getaffinity(0))
BLOCK = 256


@dataclass(frozen=True)
class ImageFile:
    """What lies at an article's image path: readable so far (ok), missing, or broken with the reason `error`.

    `checksum` is the SHA-256 of the file's bytes; None where there are none to read.
    """

    status: Literal["ok", "missing", "broken"]
    error: str | None = None
    checksum: str | None = None


def inspect(path: Path, root: Path) -> ImageFile:
    """Checksum the file at `path`, which must lie below `root` (resolved) even through links. No decoding yet."""
    try:
        if not path.resolve().is_relative_to(root):
            return ImageFile("broken", "path leaves the image folder")
        if not path.exists():
            return ImageFile("missing")
        if not path.is_file():
            return ImageFile("broken", "not a file")
        if (size := path.stat().st_size) > MAX_BYTES:
            return ImageFile("broken", f"file of {size:,} bytes, more than {MAX_BYTES:,}")
        content = path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle
        return ImageFile("broken", f"cannot be read: {getattr(error, 'strerror', None) or error}")
    checksum = hashlib.sha256(content).hexdigest()
    return ImageFile("ok", None, checksum) if content else ImageFile("broken", "empty file", checksum)


def open_rgb(content: bytes, at_least: tuple[int, int]) -> Image.Image:
    """Decode the first frame of an image as RGB, on white where it is transparent, upright by its EXIF orientation.

    A JPEG may be decoded at a fraction of its size, but no smaller than `at_least` (width, height), which is many
    times faster. Raises ValueError with the reason when the content is no usable image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is stricter
            image = Image.open(BytesIO(content), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width:,} x {image.height:,} pixels, more than {MAX_PIXELS:,}")
        image.draft("RGB", at_least)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)
    except UnidentifiedImageError:
        raise ValueError("not an image of a known format") from None
    except ValueError:
        raise
    except Exception as error:  # decoders raise SyntaxError, struct.error, OSError, ...: all mean a bad file
        raise ValueError(str(error) or type(error).__name__) from error


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


def inspect_all(paths: Sequence[Path], root: Path) -> list[ImageFile]:
    """`inspect` for many files, on all cores."""
    root = root.resolve()
    with ThreadPoolExecutor(CPUS) as pool:
        return list(pool.map(lambda path: inspect(path, root), paths))


def decode_blocks(
    paths: Sequence[Path], prepare: Callable[[Image.Image], np.ndarray], at_least: tuple[int, int]
) -> Iterator[list[np.ndarray | str]]:
    """Decode and prepare images in blocks of BLOCK, the next one on all cores while the caller works on this one.

    Yields per file the prepared array, or the reason why it is broken. Threads suffice: Pillow lets go of the
    interpreter while it decodes and resizes.
    """

    def one(path: Path) -> np.ndarray | str:
        try:
            return prepare(open_rgb(path.read_bytes(), at_least))
        except (OSError, ValueError) as error:
            return str(error)

    with ThreadPoolExecutor(CPUS) as pool:
        waiting: deque[list[Future[np.ndarray | str]]] = deque()
        for start in range(0, len(paths), BLOCK):
            waiting.append([pool.submit(one, path) for path in paths[start : start + BLOCK]])
            if len(waiting) == 2:
                yield [future.result() for future in waiting.popleft()]
        for block in waiting:
            yield [future.result() for future in block]
