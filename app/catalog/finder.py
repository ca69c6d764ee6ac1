"""The search proper, which lives in processes of its own (app.catalog.finder_process), started by the first question.

So its libraries, which take seconds to import and hundreds of megabytes, weigh on no page that does not search; and a
page waits for it no longer than it says here, whatever has become of it. Pictures have a process apart from words: the
library of their networks takes more memory than all else, and the process ends when it has not been asked for a while.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

#: Characters of a question that count.
MAX_WORDS = 500
TOP = 24
#: Seconds that a page waits: for words, which names alone answer as well, and for a picture, which may wake it up.
WORDS_SECONDS, PICTURE_SECONDS = 2.0, 60.0
#: A process that did not come up is not tried again for so long.
_AGAIN_SECONDS = 20.0
#: What a process searches by.
WORDS, PICTURES = "words", "pictures"
_LENGTH = struct.Struct("!I")

_starting = threading.Lock()
_started_at: dict[str, float] = {}


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        hits: article ids, the best first; None where the search proper could not be asked.
        spelt: the words as they were understood.
        method: by which it was found.
        notice: what the page has to say about it.
    """

    hits: list[str] | None
    spelt: str = ""
    method: str = ""
    notice: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """As app.catalog.cards.listed takes them."""
        return [{"article_id": hit, "source": self.method} for hit in self.hits or ()]


def ask(words: str | None = None, picture: bytes | None = None) -> Answer:
    """Articles like some words or like a picture, the content of a file."""
    kind = WORDS if picture is None else PICTURES
    until = time.monotonic() + (WORDS_SECONDS if picture is None else PICTURE_SECONDS)
    question = json.dumps({"words": words, "has_picture": picture is not None, "top": TOP}).encode()
    try:
        with _connected(kind, until) as connection:
            send(connection, question)
            if picture is not None:
                send(connection, picture)
            found = json.loads(receive(connection, 2**20))
    except OSError:
        instead = "try again in a minute" if picture is not None else "this is what the names alone give"
        return Answer(None, words or "", notice=f"The full search is starting; {instead}.")
    if "error" in found:
        return Answer(None, words or "", notice=found["error"])
    return Answer(found["hits"], found["spelt"], found["method"])


def send(connection: socket.socket, content: bytes) -> None:
    """A message: its length and itself."""
    connection.sendall(_LENGTH.pack(len(content)) + content)


def receive(connection: socket.socket, most: int) -> bytes:
    """A message of at most so many bytes. Raises OSError where it is longer, or none comes."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > most:
        raise OSError(f"a message of {length:,} bytes")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = connection.recv(min(length, 2**20))
        if not part:
            raise OSError("the connection was closed")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _connected(kind: str, until: float) -> socket.socket:
    """A connection to the process, which is started if it is not up. Raises OSError where it does not come up in time.

    Words do not wait for it to come up.
    """
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(max(0.1, until - time.monotonic()))
        try:
            with address(kind) as place:
                connection.connect(place)
            return connection
        except OSError:
            connection.close()
            _start(kind)
            if kind == WORDS or time.monotonic() >= until:
                raise
        time.sleep(0.2)


@contextlib.contextmanager
def address(kind: str) -> Iterator[str]:
    """The path of the process's socket, however long that of the shop's folder is: a socket's is at most 107 bytes."""
    folder = os.open(settings.HOME, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{kind}.socket"
    finally:
        os.close(folder)


#: Memory that was read into and freed goes back to the machine.
_MALLOC = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}


def _start(kind: str) -> None:
    with _starting:
        if kind in _started_at and time.monotonic() - _started_at[kind] < _AGAIN_SECONDS:
            return
        _started_at[kind] = time.monotonic()
        log = Path(settings.HOME) / "finder.log"
        with log.open("ab") as out:
            # It ends with the server; that none runs twice is seen to by its lock.
            subprocess.Popen(
                [sys.executable, "-m", "app.catalog.finder_process", kind],
                env=os.environ | _MALLOC | {"ATELIER_SHOP_PID": os.environ.get("ATELIER_SHOP_PID") or str(os.getpid())},
                cwd=settings.APP.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
