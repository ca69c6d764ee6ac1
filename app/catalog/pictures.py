"""Articles' pictures as thumbnails: made once, kept below the shop's folder, never larger than asked for.

All of them together take SHOP_THUMBNAIL_BYTES: the least recently used are removed first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import uuid
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from threading import BoundedSemaphore, Lock

from django.conf import settings
from PIL import Image

from jobs.embeddings.decode import open_rgb, read
from jobs.embeddings.image_folder import ImageFolder, folder_of
from jobs.platform import storage

#: Width and height that a thumbnail fits into, by the name in its address.
SIZES = {"card": (360, 480), "page": (900, 1200)}
#: Pictures that are decoded at a time: each may take 150 MB.
_DECODING = BoundedSemaphore(2)
#: When a thumbnail was last looked at is noted to the hour.
_NOTED_SECONDS = 3600.0
#: Of all that they may take: as much is added before their sizes are added up, and as much free then.
_SLACK = 0.05
_trimming = Lock()
#: Bytes that this process has added since it last added the sizes up.
_added = [0]


@lru_cache(maxsize=1)
def folder() -> ImageFolder | None:
    """Where the retailer's pictures lie; None where there are none."""
    return folder_of(settings.SHOP_DATA, settings.SHOP_MAPPING)


def thumbnail(article_id: str, size: str) -> Path | None:
    """The file of an article's thumbnail; None where it has no picture that can be shown."""
    pictures = folder()
    if pictures is None:
        return None
    source = pictures.path(article_id)
    digest = hashlib.sha256(f"{source}\0{size}".encode()).hexdigest()
    file = Path(settings.HOME) / "thumbnails" / digest[:2] / f"{digest[2:]}.webp"
    if _is_fresh(file, source):
        _note_use(file)
        return file
    found, content = read(source, pictures.roots)
    if found.status != "ok":
        return None
    try:
        with _DECODING:
            drawn = _drawn(content, SIZES[size])
    except ValueError:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{uuid.uuid4()}")
    draft.write_bytes(drawn)
    draft.replace(file)
    _make_room(len(drawn))
    return file


def problem_of(content: bytes) -> str | None:
    """Why a file's content is no picture that can be looked at; None where it is one."""
    try:
        with _DECODING:
            open_rgb(content, SIZES["card"])
    except ValueError as error:
        return str(error)
    return None


def _is_fresh(file: Path, source: str) -> bool:
    """Whether the thumbnail is of the picture as it is now; what is in an object store is taken not to change."""
    try:
        made = file.stat().st_mtime_ns
        return storage.is_uri(source) or os.stat(source).st_mtime_ns <= made
    except (OSError, ValueError):
        return False


def _note_use(file: Path) -> None:
    """Set the time of the last use, whether or not the file system does; that of the drawing stays."""
    with contextlib.suppress(OSError):
        known = file.stat()
        if time.time() - known.st_atime > _NOTED_SECONDS:
            os.utime(file, ns=(time.time_ns(), known.st_mtime_ns))


def _make_room(added: int) -> None:
    """Count what was added; once that is enough, remove what was used longest ago as far as there is too much."""
    with _trimming:
        _added[0] += added
        if _added[0] < _SLACK * settings.SHOP_THUMBNAIL_BYTES:
            return
        _added[0] = 0
        _trim((1 - _SLACK) * settings.SHOP_THUMBNAIL_BYTES)


def _trim(most: float) -> None:
    """Remove the thumbnails that were used longest ago, until the others take no more than so many bytes."""
    found = []
    for part in (Path(settings.HOME) / "thumbnails").iterdir():
        for entry in os.scandir(part):
            with contextlib.suppress(OSError):  # another process has just renamed or removed it
                known = entry.stat()
                found.append((known.st_atime_ns, known.st_size, entry.path))
    too_much = sum(size for _, size, _ in found) - most
    for _, size, path in sorted(found):
        if too_much <= 0:
            return
        Path(path).unlink(missing_ok=True)
        too_much -= size


def _drawn(content: bytes, size: tuple[int, int]) -> bytes:
    """A picture's file content as WebP of at most this size. Raises ValueError."""
    image, _ = open_rgb(content, size)
    image.thumbnail(size, Image.Resampling.LANCZOS)
    out = BytesIO()
    image.save(out, "WEBP", quality=82, method=3)
    return out.getvalue()
