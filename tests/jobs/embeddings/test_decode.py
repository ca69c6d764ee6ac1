"""Image files of every kind: decoded right, or flagged with the reason."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from jobs.embeddings import decode

RED, SMALL = (200, 30, 40), (8, 8)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def centre(content: bytes) -> tuple[int, ...]:
    image, _ = decode.open_rgb(content, SMALL)
    assert image.mode == "RGB"
    pixel = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return pixel


def close(a: tuple[int, ...], b: tuple[int, ...], tolerance: int = 6) -> bool:
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) <= tolerance


def test_plain_and_cmyk_jpeg_give_the_same_red() -> None:
    plain = Image.new("RGB", (40, 60), RED)
    assert close(centre(encoded(plain)), RED)
    assert close(centre(encoded(plain.convert("CMYK"))), RED)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.full((20, 20), 0x4040, np.uint16))
    assert centre(encoded(grey, "PNG")) == (64, 64, 64)
    assert centre(encoded(grey, "TIFF")) == (64, 64, 64)


def test_transparent_is_white() -> None:
    assert centre(encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG")) == (255, 255, 255)
    assert close(centre(encoded(Image.new("RGBA", (20, 20), (*RED, 255)), "PNG")), RED)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, (0, 0, 255))]
    assert close(centre(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])), RED)


def exif_picture(orientation: int | str | bytes) -> bytes:
    """A JPEG of 60 x 40, blue at its left, that says how the camera was held."""
    picture = Image.new("RGB", (60, 40), RED)
    picture.paste((0, 0, 255), (0, 0, 20, 40))
    if isinstance(orientation, int):
        kind, value = 3, struct.pack("<H", orientation)
    else:  # as no standard allows: text, or bytes of no type
        kind, value = (2, orientation.encode()) if isinstance(orientation, str) else (7, orientation)
    entry = struct.pack("<HHI4s", 0x0112, kind, 1 if kind == 3 else len(value), value)
    return encoded(picture, exif=b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4))


@pytest.mark.parametrize(
    ("orientation", "blue_at"),
    [
        *((1, (5, 20)), (2, (55, 20)), (3, (55, 20)), (4, (5, 20))),
        *((5, (20, 5)), (6, (20, 5)), (7, (20, 55)), (8, (20, 55))),
        *(("6", (20, 5)), (b"\x06", (20, 5)), (b"\x00\x08", (20, 55))),
    ],
)
def test_upright_by_exif(orientation: int | str | bytes, blue_at: tuple[int, int]) -> None:
    opened = decode.open_image(exif_picture(orientation), (60, 40))
    assert opened.image.size == opened.size == ((60, 40) if blue_at[1] == 20 else (40, 60))
    assert close(opened.image.getpixel(blue_at), (0, 0, 255), 40) and opened.remark is None


@pytest.mark.parametrize("orientation", [0, 9, 65535, "up", b"\xff\xff\xff"])
def test_an_orientation_that_means_nothing_is_flagged(orientation: int | str | bytes) -> None:
    opened = decode.open_image(exif_picture(orientation), (60, 40))
    assert opened.image.size == opened.size == (60, 40)
    assert opened.remark == "EXIF orientation unknown: taken as upright"


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_avif_whatever_its_name_says() -> None:
    assert close(centre(encoded(Image.new("RGB", (40, 60), RED), "AVIF")), RED, 12)


def test_large_jpeg_is_decoded_at_a_fraction_but_not_too_small() -> None:
    content = encoded(Image.new("RGB", (1166, 1750), RED))
    assert decode.open_rgb(content, (128, 192))[0].size == (146, 219)
    assert decode.open_rgb(content, (464, 464))[0].size == (583, 875)


def bomb() -> bytes:
    """A PNG of a few bytes that claims 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BROKEN = {
    "truncated by 40 %": (encoded(noise(300, 450))[:-30_000], "truncated"),
    "truncated by 200 bytes": (encoded(noise(300, 450))[:-200], "truncated"),
    "truncated png": (encoded(noise(30, 45), "PNG")[:-2000], "truncated"),
    "text": (b"<html>404</html>", "not an image of a known format"),
    "one byte": (b"\xff", "not an image of a known format"),
    "bomb": (bomb(), "pixels"),
    "a line": (encoded(Image.new("RGB", (1, 101)), "PNG"), "1 x 101 pixels: more than 100 times as long as wide"),
    "float": (encoded(Image.new("F", (9, 9), 0.5), "TIFF"), "floating-point"),
    "pdf": (b"%PDF-1.7\n%%EOF", "not an image of a known format"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_content_has_its_reason(kind: str) -> None:
    content, reason = BROKEN[kind]
    with pytest.raises(ValueError, match=reason):
        decode.open_rgb(content, (128, 192))


def test_pixels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 40 * 60 - 1)
    with pytest.raises(ValueError, match="40 x 60 pixels, more than 2,399"):
        decode.open_rgb(encoded(Image.new("RGB", (40, 60))), SMALL)


def test_inspection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (root / "good").write_bytes(b"abc")
    (root / "empty").touch()
    (root / "folder").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")  # reading it would wait for ever
    (root / "large").write_bytes(bytes(101))
    monkeypatch.setattr(decode, "MAX_BYTES", 100)
    names = ["good", "none", "empty", "folder", "link", "../secret", "loop", "pipe", "large"]
    found = dict(zip(names, decode.inspect_all([root / name for name in names], [root]), strict=True))
    assert found["good"] == decode.ImageFile("ok", None, hashlib.sha256(b"abc").hexdigest())
    assert found["none"] == decode.ImageFile("missing")
    assert found["empty"] == decode.ImageFile("broken", "empty file", hashlib.sha256(b"").hexdigest())
    assert found["folder"].error == found["pipe"].error == "not a file"
    assert found["link"] == found["../secret"] == decode.ImageFile("broken", decode.OUTSIDE)
    (linked,) = decode.inspect_all([root / "link"], [root, tmp_path])
    assert linked.status == "ok" and "image_links" in decode.OUTSIDE
    assert found["loop"].status == "broken"
    assert found["large"].error == "file of 101 bytes, more than 100"


def test_strange_kinds_are_read_with_a_remark() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, (0, 0, 255))]
    kinds = {
        "animated: its first frame was taken": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "CMYK: converted to RGB": encoded(frames[0].convert("CMYK")),
        "16 bits a pixel: scaled to 8": encoded(Image.fromarray(np.full((20, 20), 0x4040, np.uint16)), "PNG"),
        None: encoded(frames[0]),
    }
    assert [decode.open_rgb(content, SMALL)[1] for content in kinds.values()] == list(kinds)
