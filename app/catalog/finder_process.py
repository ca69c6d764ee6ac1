"""The process that searches the catalogue: python -m app.catalog.finder_process words, or pictures.

It answers one question after the other, on a socket in the shop's folder that only its owner may open, and ends when
the server that it was started for does; that for pictures also when it has not been asked for a while.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import logging
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.config.settings")

from django.conf import settings

from app.catalog.finder import MAX_WORDS, PICTURES, WORDS, address, receive, send
from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from jobs.platform.errors import JobError
from jobs.platform.setting_types import LAST_DAY
from jobs.platform.settings import Settings
from jobs.platform.tables import Tables

#: Methods by what they are asked; the first that the warehouse has vectors of.
METHODS = {
    WORDS: ("minilm", "joint", "tfidf"),
    PICTURES: ("joint", "cosine_efficientnet_lite0_colour", "cosine_efficientnet_lite0"),
}
#: Seconds without a question after which the process ends; None: it stays.
IDLE_SECONDS = {WORDS: None, PICTURES: 60.0}
#: Seconds that a question may be on its way, and after which newer vectors are looked for.
QUESTION_SECONDS, REFRESH_SECONDS = 10.0, 30.0
_TABLES = (ARTICLES, ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS)


class Finder:
    """Searches that stay open for as long as their tables' versions do.

    Args:
        kind: what it is asked by.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._searches: dict[str, Any] = {}
        self._versions: dict[str, int] = {}
        self._looked = 0.0

    def open(self) -> None:
        """Make ready."""
        try:
            self._first()
        except JobError as error:
            logging.warning("%s", error)

    def answer(self, words: str | None, picture: bytes | None, top: int) -> dict[str, Any]:
        """Hits and the method they were found by. Raises JobError where it can find none."""
        self._forget_old()
        method, search = self._first()
        hits = search.search(words, picture, top)
        spelt = search.spelt(words) if words else ""
        return {"hits": [hit.article_id for hit in hits], "spelt": spelt, "method": method}

    def _first(self) -> tuple[str, Any]:
        """The first method that the warehouse has vectors of. Raises JobError where it has none."""
        problem: JobError | None = None
        for method in METHODS[self.kind]:
            try:
                return method, self._searches.get(method) or self._load(method)
            except JobError as error:
                problem = problem or error
        raise JobError(f"There is no search by {self.kind} yet: {problem}")

    def _load(self, method: str) -> Any:
        from jobs.similarity.catalogue_search import CatalogueSearch

        places = {"warehouse": settings.SHOP_WAREHOUSE, "data": settings.SHOP_DATA, "mapping": settings.SHOP_MAPPING}
        given: dict[str, Any] = {"as_of_date": LAST_DAY, "method": method, **places}
        chosen = Settings(**given)
        search = CatalogueSearch.load(Tables(chosen.warehouse, {}).read_arrow, chosen, threads=1)
        if self.kind == WORDS:
            search.warm_up()
        self._searches[method] = search
        with contextlib.suppress(AttributeError, OSError):  # of another C library
            ctypes.CDLL(None).malloc_trim(0)  # what loading took goes back to the machine
        return search

    def _forget_old(self) -> None:
        """Load anew what was published since."""
        if time.monotonic() - self._looked < REFRESH_SECONDS:
            return
        tables = Tables(settings.SHOP_WAREHOUSE, {})
        versions = {c.name: tables.newest(c).version() for c in _TABLES if tables.exists(c)}
        if versions != self._versions:
            self._searches.clear()
        self._versions, self._looked = versions, time.monotonic()


def reply(finder: Finder, connection: socket.socket) -> None:
    """Read a question and answer it. Raises OSError where the client is gone, or slow."""
    connection.settimeout(QUESTION_SECONDS)
    question = json.loads(receive(connection, 64 * 1024))
    picture = receive(connection, settings.SHOP_MAX_BODY) if question["has_picture"] else None
    words = question["words"]
    try:
        answer = finder.answer(words[:MAX_WORDS] if words else None, picture, question["top"])
    except JobError as error:
        answer = {"error": str(error)}
    except Exception:
        logging.exception("a question failed")
        answer = {"error": "The search failed; its log says why."}
    send(connection, json.dumps(answer).encode())


def end_with(parent: int) -> None:
    """End this process once that one has."""

    def watch() -> None:
        while Path(f"/proc/{parent}").exists():
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main(kind: str) -> None:
    """Answer questions; ends at once where another process does so."""
    home = Path(settings.HOME)
    with (home / f"{kind}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if parent := os.environ.get("ATELIER_SHOP_PID"):
            end_with(int(parent))
        finder = Finder(kind)
        (home / f"{kind}.socket").unlink(missing_ok=True)
        with address(kind) as place, socket.socket(socket.AF_UNIX) as listener:
            before = os.umask(0o177)
            listener.bind(place)
            os.umask(before)
            finder.open()  # who connects meanwhile is refused, and is not kept waiting
            listener.listen(64)
            listener.settimeout(IDLE_SECONDS[kind])
            while True:
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    return
                with connection:
                    try:
                        reply(finder, connection)
                    except (OSError, ValueError, KeyError) as error:
                        logging.warning("a question was broken off: %s", error)


if __name__ == "__main__":
    main(sys.argv[1])
