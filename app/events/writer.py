"""The event log's files: written behind the pages' backs, each by one process, and published whole.

A process writes to a hidden file of its own, which it holds a lock on; once that is old or large enough it gets its
name (events/*.jsonl, which the ingest reads) by a rename. A process that was killed lets go of its lock: whoever sees
that (`adopt`) publishes the file, less a last line that was cut short.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from django.conf import settings

from app.events import metrics

#: Files of this shop begin so, others' in the same folder do not.
PREFIX = "shop_"
OPEN = ".open"
#: Seconds: how often the thread looks at the time while a file is open; how old written lines get until they are
#: on the disk; how long a stopping process waits for its lines.
PAUSE, SYNC_SECONDS, STOP_SECONDS = 0.2, 0.5, 8.0
MAX_BYTES = 64 * 2**20
#: Calls, and bytes, that wait while the disk takes nothing; then events are lost, counted and logged.
MAX_WAITING, MAX_HELD = 20_000, 32 * 2**20
_STOP = object()

log = logging.getLogger(__name__)


class EventWriter:
    """Writes events of this process into a folder. All threads share one.

    Args:
        folder: the events landing folder; made where there is none.
        seconds: a file is published at this age.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.error: str | None = None
        self._file: _OpenFile | None = None
        self._reset()
        os.register_at_fork(after_in_child=self._leave_to_parent)
        atexit.register(self.close)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._file = None
        self._held = b""

    def _leave_to_parent(self) -> None:
        """In a child process: begin anew, and hold no lock in the parent's name."""
        if self._file is not None:
            self._file.close()
        self._reset()

    def put(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Hand events over; returns at once."""
        if self._thread is None:
            self.start()
        if self._queue.qsize() >= MAX_WAITING:
            metrics.EVENTS_LOST.inc(len(events))
            return
        self._queue.put(events)

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="events", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what was handed over, and publish it. The next event starts anew."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(_STOP)
                thread.join(STOP_SECONDS)

    @property
    def waiting(self) -> int:
        """Calls of `put` whose events are not written yet."""
        return self._queue.qsize()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            batches = self._next()
            is_last = _STOP in batches
            lines = [line for batch in batches if batch is not _STOP for line in _lines(batch)]
            try:
                self._write(b"".join([self._held, *lines]))
                self._tend(is_last)
                self._held, self.error = b"", None
            except Exception as error:  # whatever it is, the thread goes on
                self._fail(error, b"".join([self._held, *lines]))

    def _next(self) -> list[Any]:
        """What was handed over since; waits for it, while a file is open or something is held for a moment only."""
        is_busy = self._file is not None or self._held
        try:
            found = [self._queue.get(timeout=PAUSE if is_busy else None)]
        except Empty:
            return []
        with contextlib.suppress(Empty):
            while True:
                found.append(self._queue.get_nowait())
        return found

    def _write(self, data: bytes) -> None:
        if data:
            if self._file is None:
                self._file = _OpenFile(self.folder)
            self._file.write(data)

    def _tend(self, is_last: bool) -> None:
        """Bring the file to the disk, and publish it, when it is time."""
        if self._file is None:
            return
        is_due = is_last or self._file.age >= self.seconds or self._file.size >= MAX_BYTES
        if is_due or self._file.unsynced_seconds >= SYNC_SECONDS:
            self._file.sync()
        if is_due:
            file, self._file = self._file, None
            file.publish()
            metrics.EVENT_FILES.inc()

    def _fail(self, error: Exception, data: bytes) -> None:
        """Hold what could not be written, as far as there is room, and try again with a new file."""
        message = f"{type(error).__name__}: {getattr(error, 'strerror', error)}"
        if message != self.error:
            log.error("events cannot be written: %s", message)
        self.error = message
        if self._file is not None:
            self._file.abandon()
            self._file = None
        lost = data[MAX_HELD:].count(b"\n")
        metrics.EVENTS_LOST.inc(lost)
        self._held = data[:MAX_HELD] if not lost else data[: data.rfind(b"\n", 0, MAX_HELD) + 1]
        time.sleep(5 * PAUSE)


class _OpenFile:
    """A hidden file, locked by this process for as long as it is open."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            name = f"{PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%S}_{secrets.token_hex(4)}.jsonl"
            self.path = folder / f".{name}{OPEN}"
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if _is_at(self._fd, self.path):  # else it was taken for an abandoned one before it was locked
                break
            os.close(self._fd)
        self.size = 0
        self._opened = time.monotonic()
        self._dirty: float | None = None

    @property
    def age(self) -> float:
        return time.monotonic() - self._opened

    @property
    def unsynced_seconds(self) -> float:
        return time.monotonic() - self._dirty if self._dirty is not None else 0.0

    def write(self, data: bytes) -> None:
        """Append whole lines. After an OSError the last may be cut short: the file is for somebody to adopt."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.size += len(data)
        if self._dirty is None:
            self._dirty = time.monotonic()

    def sync(self) -> None:
        if self._dirty is not None:
            os.fsync(self._fd)
            self._dirty = None

    def publish(self) -> None:
        """Give it its name; then let go of it."""
        try:
            publish(self.path)
        finally:
            self.close()

    def close(self) -> None:
        os.close(self._fd)

    def abandon(self) -> None:
        """Let go of it: whoever adopts it publishes the whole lines that it holds."""
        self.close()


def publish(path: Path) -> Path:
    """Rename a hidden file to what the ingest reads; the folder is on the disk afterwards."""
    named = path.with_name(path.name.removeprefix(".").removesuffix(OPEN))
    os.rename(path, named)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return named


def adopt(folder: Path) -> list[Path]:
    """Publish the files of processes that are no more; returns them. An empty one is removed."""
    found = []
    for path in sorted(folder.glob(f".{PREFIX}*{OPEN}")):
        with contextlib.suppress(FileNotFoundError), _locked(path) as fd:
            if fd is None:
                continue
            if whole := _whole_lines(path):
                os.ftruncate(fd, whole)
                os.fsync(fd)
                found.append(publish(path))
            else:
                path.unlink()
    return found


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """The file, locked and still there under its name; None where somebody else has it."""
    fd = os.open(path, os.O_RDWR)
    try:
        is_ours = True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_ours = False
        yield fd if is_ours and _is_at(fd, path) else None
    finally:
        os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.fstat(fd).st_ino == os.stat(path).st_ino
    except FileNotFoundError:
        return False


def _whole_lines(path: Path) -> int:
    """How many bytes there are up to the last line's end."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 2**16)
            file.seek(start)
            if (last := file.read(end - start).rfind(b"\n")) >= 0:
                return start + last + 1
            end = start
    return 0


def _lines(events: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    """Each event as a line. One that is no JSON is lost and logged: it must not stop the others."""
    for event in events:
        try:
            line = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        except (TypeError, ValueError):
            log.exception("an event of %s cannot be written", event.get("article_id"))
            metrics.EVENTS_LOST.inc()
            continue
        metrics.EVENTS.labels(event["event"]).inc()
        yield line


@lru_cache(maxsize=1)
def writer() -> EventWriter:
    """This process's writer."""
    return EventWriter(settings.SHOP_EVENTS, settings.SHOP_EVENT_SECONDS)
