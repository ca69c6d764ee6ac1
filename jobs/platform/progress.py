"""Progress of long work: a bar on a terminal, elsewhere a line in the log now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LOG = logging.getLogger(__name__)
LOG_SECONDS = 30.0

Item = TypeVar("Item")


class ProgressReporter:
    """Progress with rate and time left: a bar on a terminal, elsewhere a line in the log twice a minute."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what, self.done = total, what, 0
        self.began = self.logged = time.monotonic()
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task(what, total=total, rate="")

    def __enter__(self) -> ProgressReporter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self.total:
            _LOG.info("%s: %s", self.what, self._words())

    def advance(self, n: int) -> None:
        """So many more are done."""
        self.done += n
        self._bar.update(self._task, advance=n, rate=f"{self._rate():,.0f}/s")
        if self._bar.disable and time.monotonic() - self.logged > LOG_SECONDS:
            self.logged = time.monotonic()
            left = (self.total - self.done) / self._rate()
            _LOG.info("%s: %s, %d:%02d:%02d left", self.what, self._words(), left // 3600, left // 60 % 60, left % 60)

    def _rate(self) -> float:
        return self.done / max(time.monotonic() - self.began, 1e-9)

    def _words(self) -> str:
        return f"{self.done:,} of {self.total:,}, {self._rate():,.1f} a second"


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """The items, with progress as they are taken.

    Args:
        items: of a known length, or with `total`.
        what: said in front.
        total: their number.
    """
    if total is None:
        assert isinstance(items, Sized), "give the total of what has no length"
        total = len(items)
    with ProgressReporter(total, what) as progress:
        for item in items:
            yield item
            progress.advance(1)
