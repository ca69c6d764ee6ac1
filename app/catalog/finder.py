"""The search proper, which lives in a process of its own (app.catalog.finder_process): started by the first question.

So its libraries, which take seconds to import and hundreds of megabytes, weigh on no page that does not search.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from django.conf import settings

#: Characters of a question that count.
MAX_WORDS = 500
TOP = 24
#: Seconds that an answer may take, and that a picture waits for the process to be up: words are looked for without it.
ANSWER_SECONDS, START_SECONDS = 10.0, 60.0
#: A process that did not come up is not tried again for so long.
_AGAIN_SECONDS = 20.0
SOCKET = "finder.socket"

_starting = threading.Lock()
_started_at: list[float] = []


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        hits: article ids, the best first; None where the search proper could not be asked.
        spelt: the words as they were understood.
        method: by which it was found.
        notice: what the page has to say about it.
        is_refused: the question itself was wrong.
    """

    hits: list[str] | None
    spelt: str = ""
    method: str = ""
    notice: str = ""
    is_refused: bool = False

    def rows(self) -> list[dict[str, Any]]:
        """As app.catalog.cards.listed takes them."""
        return [{"article_id": hit, "source": self.method} for hit in self.hits or ()]


def ask(words: str | None = None, picture: bytes | None = None) -> Answer:
    """Articles like some words or like a picture, the content of a file."""
    waits = START_SECONDS if picture is not None else 0.0
    connection = _connected(waits)
    if connection is None:
        return Answer(None, words or "", notice="The full search is starting; this is what the names alone give.")
    with connection:
        try:
            connection.send_bytes(json.dumps({"words": words, "has_picture": picture is not None, "top": TOP}).encode())
            if picture is not None:
                connection.send_bytes(picture)
            if not connection.poll(ANSWER_SECONDS if picture is None else START_SECONDS):
                return Answer(None, words or "", notice="The full search is busy; this is what the names alone give.")
            said = json.loads(connection.recv_bytes())
        except (OSError, EOFError):
            return Answer(None, words or "", notice="The full search has stopped; ask again in a moment.")
    if "error" in said:
        return Answer(None, words or "", notice=said["error"], is_refused=said["is_refused"])
    return Answer(said["hits"], said["spelt"], said["method"])


def _connected(seconds: float) -> Connection | None:
    """A connection to the process, which is started if it is not up; None if it is not within so many seconds."""
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), address() as place:
            return Client(place, family="AF_UNIX")
        _start()
        if time.monotonic() >= until:
            return None
        time.sleep(0.2)


@contextlib.contextmanager
def address() -> Iterator[str]:
    """The socket's path, however long that of the shop's folder is: a socket's is at most 107 bytes."""
    folder = os.open(settings.HOME, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


def _start() -> None:
    with _starting:
        if _started_at and time.monotonic() - _started_at[-1] < _AGAIN_SECONDS:
            return
        _started_at[:] = [time.monotonic()]
        log = Path(settings.HOME) / "finder.log"
        with log.open("ab") as out:
            # It ends with the server, and that none starts twice is seen to by its lock.
            subprocess.Popen(
                [sys.executable, "-m", "app.catalog.finder_process"],
                env=os.environ | {"ATELIER_SHOP_PID": os.environ.get("ATELIER_SHOP_PID") or str(os.getpid())},
                cwd=settings.APP.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
