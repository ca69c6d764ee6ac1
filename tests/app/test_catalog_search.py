"""The search: by words and by pictures through its own process, and what pages do without it."""

from __future__ import annotations

import os
import signal
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from expectations.embeddings import ARTICLE_TEXT_EMBEDDINGS
from tests.app.conftest import ARTICLE_IDS, COLOURS, KINDS, WEEK, articles, write
from tests.app.people import events_of, visitor
from tests.app.test_catalog_pages import shown
from tests.app.test_catalog_pictures import bomb


def png(size: tuple[int, int] = (60, 80)) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, "red").save(out, "PNG")
    return out.getvalue()


def upload(browser: Any, content: bytes) -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return browser.post("/search/picture/", {"picture": SimpleUploadedFile("p.png", content)})


@pytest.fixture(scope="module")
def text_vectors(shop: Path, retailer: Path) -> None:
    """The articles' texts, embedded and registered as the jobs do."""
    import mlflow

    from jobs.embeddings import text_fitting
    from jobs.embeddings.text_versions import slice_of
    from jobs.platform.settings import Settings
    from jobs.platform.tracking import use_tracking

    warehouse = retailer / "warehouse"
    settings = Settings(as_of_date=WEEK, warehouse=str(warehouse), text_encoder="minilm")
    use_tracking(settings)
    with mlflow.start_run():
        version, encoder = text_fitting.register(settings, [])
    texts = [f"{row['product_type_name']} {row['colour_group_name']} {row['detail_desc']}" for row in articles()]
    rows = [
        {"encoder": slice_of(version), "article_id": article_id, "text_status": "ok", "text_embedding": list(vector)}
        for article_id, vector in zip(ARTICLE_IDS, encoder.encode(texts), strict=True)
    ]
    write(warehouse, ARTICLE_TEXT_EMBEDDINGS, rows)


def finder_pid(home: Path) -> int:
    """The process that holds the lock."""
    inode = (home / "words.lock").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    raise AssertionError("no process searches")


def ask(words: str, browser: Any) -> Any:
    """The page, once the search proper is up."""
    until = time.monotonic() + 90
    while "The full search" in (answer := browser.get("/search/", {"q": words})).content.decode():
        assert time.monotonic() < until, answer.content.decode()
        time.sleep(0.5)
    return answer


def test_words_are_searched_by_meaning_and_by_name_while_that_is_not_up(
    text_vectors: None, shop: Path, landing: Path
) -> None:
    browser = visitor()
    found = shown(ask("jeans and other pants", browser))
    assert {ARTICLE_IDS.index(one) // len(COLOURS) % len(KINDS) for one in found[:4]} == {KINDS.index("Trousers")}
    assert {e["source"] for e in events_of(landing, browser) if e["list"] == "search"} == {"minilm"}

    os.kill(finder_pid(shop), signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = browser.get("/search/?q=trousers red")
        assert time.monotonic() - began < 5, "a page does not wait for a process that hangs"
    finally:
        os.kill(finder_pid(shop), signal.SIGCONT)
    assert "what the names alone give" in answer.content.decode()
    assert shown(answer) == [ARTICLE_IDS[1], ARTICLE_IDS[25]]
    assert len(shown(ask("trousers red", browser))) == 24


def test_a_picture_is_not_searched_by_without_pictures_vectors(text_vectors: None, shop: Path) -> None:
    answer = upload(visitor(), png())
    assert answer.status_code == 200
    assert "There is no search by pictures yet" in answer.content.decode()


def test_the_process_for_pictures_ends_when_it_is_not_asked(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    from app.catalog import finder, finder_process

    monkeypatch.setattr(settings, "HOME", tmp_path)
    monkeypatch.setattr(finder_process, "IDLE_SECONDS", {"pictures": 0.5})
    process = threading.Thread(target=finder_process.main, args=("pictures",), daemon=True)
    process.start()
    answer = finder.ask(picture=png())
    assert answer.notice.startswith("There is no search by pictures yet"), "it was up"
    process.join(20)
    assert not process.is_alive()


@pytest.mark.parametrize("content", [b"no picture", bomb(), png()[:60]], ids=["text", "bomb", "cut"])
def test_what_is_no_picture_is_refused(shop: Path, content: bytes) -> None:
    answer = upload(visitor(), content)
    assert answer.status_code == 400
    assert "That is no picture to search with" in answer.content.decode()


def test_a_search_without_words_or_picture_asks_for_one(shop: Path) -> None:
    assert "Or search with a picture" in visitor().get("/search/").content.decode()
    assert visitor().post("/search/picture/").status_code == 400


def test_too_large_a_body_is_not_read(shop: Path) -> None:
    class Unread(BytesIO):
        def read(self, *_: object) -> bytes:
            raise AssertionError("it was read")

    answer = visitor().generic(
        "POST", "/search/picture/", b"", "multipart/form-data; boundary=x", CONTENT_LENGTH=str(2**40),
        **{"wsgi.input": Unread()},
    )  # fmt: skip
    assert answer.status_code == 413
