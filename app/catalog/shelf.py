"""Articles by id with their prices, in a file: what every card on every page is looked up in.

It is made of the published tables, in the background, whenever one of them has a newer version. Until it is there, and
where it cannot be made, look-ups go to the tables themselves, which takes some milliseconds each. It lies in the shop's
folder; of what any number of processes read there, they have SQLite's pages in memory.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from app.tables.snapshot import Unavailable
from app.tables.store import Reading, Row, Source
from expectations.articles import ARTICLES
from expectations.features import ARTICLE_FEATURES

log = logging.getLogger(__name__)

#: Of an article, for cards and for its page.
COLUMNS = (
    "article_id", "prod_name", "product_type_name", "colour_group_name", "is_delisted", "detail_desc",
    "graphical_appearance_name", "department_name", "section_name", "index_group_name", "garment_group_name",
)  # fmt: skip
PRICE = "price_median"
#: A file that nobody has needed for so long goes when the next is made.
KEPT_SECONDS = 3600
_BATCH = 2_000


class Shelf:
    """The files in a folder, one for each pair of versions of silver/articles and gold/article_features."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._background = ThreadPoolExecutor(1, thread_name_prefix="shelf")
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._open = threading.local()

    def rows(self, reading: Reading, article_ids: Sequence[str]) -> list[Row] | None:
        """Those of the articles that there are: COLUMNS and PRICE; None where the file is not there.

        Raises Unavailable where silver/articles is.
        """
        key = self._key(reading)
        connection = self._connection(key)
        if connection is None:
            self._make(key, reading)
            return None
        marks = ", ".join("?" * len(article_ids))
        found = connection.execute(f"SELECT * FROM article WHERE article_id IN ({marks})", article_ids)  # noqa: S608
        return [dict(zip((*COLUMNS, PRICE), row, strict=True)) for row in found]

    def make(self, reading: Reading) -> None:
        """Make the file of the versions that the page has, now. Raises Unavailable where it cannot be made."""
        key = self._key(reading)
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{uuid.uuid4()}"
        try:
            with closing(sqlite3.connect(draft)) as database:
                columns = ", ".join((*COLUMNS, PRICE))
                database.execute("PRAGMA journal_mode = OFF")
                database.execute(f"CREATE TABLE article ({columns}, PRIMARY KEY (article_id)) WITHOUT ROWID")
                marks = ", ".join("?" * (len(COLUMNS) + 1))
                for rows in reading.batches(*_query(reading), _BATCH):
                    database.executemany(f"INSERT INTO article VALUES ({marks})", rows)  # noqa: S608
                    time.sleep(0)  # pages first
                database.commit()
            draft.replace(self._file(key))
        finally:
            draft.unlink(missing_ok=True)
        self._remove_old(key)

    def _connection(self, key: str) -> sqlite3.Connection | None:
        """This thread's connection to the file, which never changes."""
        if getattr(self._open, "key", None) != key:
            file = self._file(key)
            try:
                connection = sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True, isolation_level=None)
            except sqlite3.OperationalError:
                return None
            self._open.connection, self._open.key = connection, key
        return self._open.connection

    def _make(self, key: str, reading: Reading) -> None:
        with self._lock:
            if key in self._asked:
                return
            self._asked.add(key)
        self._background.submit(self._try, reading)

    def _try(self, reading: Reading) -> None:
        try:
            self.make(reading)
        except (Unavailable, sqlite3.Error, OSError) as error:
            log.warning("articles are looked up in the tables: %s", error)

    def _remove_old(self, key: str) -> None:
        for file in self.folder.glob("*.sqlite3"):
            if file != self._file(key) and file.stat().st_mtime < time.time() - KEPT_SECONDS:
                file.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.sqlite3"

    def _key(self, reading: Reading) -> str:
        """Of the files of both tables at the page's versions: the same files have the same rows."""
        files = [file.uri for file in reading.snapshot(ARTICLES).files]
        try:
            files += [file.uri for file in reading.snapshot(ARTICLE_FEATURES).files]
        except Unavailable:
            files.append("no prices")
        return hashlib.sha256("\0".join((*COLUMNS, *files)).encode()).hexdigest()[:32]


def _query(reading: Reading) -> tuple[str, dict[str, Source]]:
    """What is put in the file."""
    sources = {"articles": Source(ARTICLES, COLUMNS)}
    chosen = ", ".join(COLUMNS)
    try:
        reading.snapshot(ARTICLE_FEATURES)
    except Unavailable:
        return f"SELECT {chosen}, NULL FROM @articles ORDER BY article_id", sources  # noqa: S608
    sources["prices"] = Source(ARTICLE_FEATURES, ("article_id", PRICE))
    return (
        f"SELECT {chosen}, {PRICE} FROM @articles LEFT JOIN @prices USING (article_id) ORDER BY article_id",  # noqa: S608
        sources,
    )
