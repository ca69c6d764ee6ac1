"""Work that no two runs may do at once on one machine."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.platform.errors import JobError


@contextmanager
def only_run(file: Path, what: str, run_id: str) -> Iterator[None]:
    """Hold the lock `file` around a block; the system frees it when the process ends, however that happens.

    Raises JobError where another process holds it; `what` says in words what it then does.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise JobError(f"{what} at this moment (run {lock.read()}): this run leaves it to that one") from None
        lock.truncate(0)
        lock.write(run_id)
        lock.flush()
        yield
