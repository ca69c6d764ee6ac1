"""Thumbnails: small, fresh, and of nothing but the retailer's pictures."""

from __future__ import annotations

import os
import shutil
import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.app.conftest import ARTICLE_IDS
from tests.app.people import visitor


def picture_path(retailer: Path, article: str) -> Path:
    return retailer / "data" / "images" / article[:3] / f"{article}.jpg"


def content(answer: object) -> bytes:
    return answer.getvalue()  # type: ignore[attr-defined]


def test_a_thumbnail_is_no_larger_than_asked_for_and_known_by_its_tag(shop: Path, retailer: Path) -> None:
    Image.new("RGB", (3000, 4000), "navy").save(picture_path(retailer, ARTICLE_IDS[0]))
    answer = visitor().get(f"/picture/card/{ARTICLE_IDS[0]}")
    assert answer["Content-Type"] == "image/webp"
    assert Image.open(BytesIO(content(answer))).size == (360, 480)
    again = visitor().get(f"/picture/card/{ARTICLE_IDS[0]}", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304
    assert Image.open(BytesIO(content(visitor().get(f"/picture/page/{ARTICLE_IDS[0]}")))).size == (900, 1200)


def test_a_picture_that_changed_is_drawn_anew(shop: Path, retailer: Path) -> None:
    file = picture_path(retailer, ARTICLE_IDS[1])
    before = content(visitor().get(f"/picture/card/{ARTICLE_IDS[1]}"))
    Image.new("RGB", (60, 80), "yellow").save(file)
    later = file.stat().st_mtime_ns + 10**10
    os.utime(file, ns=(later, later))
    assert content(visitor().get(f"/picture/card/{ARTICLE_IDS[1]}")) != before


def bomb() -> bytes:
    """A PNG of some kilobytes that says it is 30,000 x 30,000 pixels."""
    small = BytesIO()
    Image.new("1", (8, 8)).save(small, "PNG")
    whole = bytearray(small.getvalue())
    whole[16:24] = (30_000).to_bytes(4, "big") * 2
    import zlib

    whole[29:33] = zlib.crc32(bytes(whole[12:29])).to_bytes(4, "big")
    return bytes(whole)


@pytest.mark.parametrize("made", [b"", b"no picture", bomb()])
def test_what_cannot_be_shown_has_a_drawing_instead(shop: Path, retailer: Path, made: bytes) -> None:
    picture_path(retailer, ARTICLE_IDS[2]).write_bytes(made)
    assert visitor().get(f"/picture/card/{ARTICLE_IDS[2]}")["Content-Type"] == "image/svg+xml"
    assert visitor().get("/picture/card/none")["Content-Type"] == "image/svg+xml"


def test_nothing_outside_the_pictures_is_shown(shop: Path, retailer: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    Image.new("RGB", (60, 80), "red").save(secret)
    picture_path(retailer, ARTICLE_IDS[3]).unlink()
    picture_path(retailer, ARTICLE_IDS[3]).symlink_to(secret)
    Image.new("RGB", (60, 80), "red").save(retailer / "data" / "own.jpg")
    for article in (ARTICLE_IDS[3], "..%2f..%2fown", "../../own", "..", "%00", "x" * 5000):
        answer = visitor().get(f"/picture/card/{article}")
        assert answer.status_code == 404 or answer["Content-Type"] == "image/svg+xml", article
    assert visitor().get(f"/picture/huge/{ARTICLE_IDS[0]}").status_code == 404


def test_thumbnails_take_no_more_than_they_may_and_the_longest_unused_go(
    shop: Path, retailer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    from app.catalog.pictures import thumbnail

    folder = shop / "thumbnails"
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(20, 28):
        Image.effect_noise((360, 480), 90).convert("RGB").save(picture_path(retailer, ARTICLE_IDS[number]))

    def look(number: int) -> Path:
        found = thumbnail(ARTICLE_IDS[number], "card")
        assert found is not None
        return found

    files = [look(number) for number in range(20, 26)]
    for place, file in enumerate(files):
        then = time.time_ns() - (100 - place) * 10**12
        os.utime(file, ns=(then, file.stat().st_mtime_ns))
    look(20)  # which makes the second the one that was used longest ago
    size = files[0].stat().st_size
    monkeypatch.setattr(settings, "SHOP_THUMBNAIL_BYTES", 6 * size)
    there = [file.exists() for file in [*files, look(26)]]
    assert there == [True, False, False, True, True, True, True]
    assert sum(file.stat().st_size for file in folder.rglob("*.webp")) <= 0.95 * 6 * size
