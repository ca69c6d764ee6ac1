"""How DuckDB reads files of an object store: through Arrow, which the jobs read them with, too."""

from __future__ import annotations

import duckdb

from jobs.platform import storage


def register(database: duckdb.DuckDBPyConnection, root: str) -> None:
    """Make files below `root` readable; nothing is to be done for a folder."""
    if not storage.is_uri(root):
        return
    from fsspec.implementations.arrow import ArrowFSWrapper

    scheme = root.partition("://")[0]

    class Store(ArrowFSWrapper):
        """The store's file system under the scheme of its URIs."""

        protocol = scheme

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return storage.filesystem(path)[1] if storage.is_uri(path) else path

    database.register_filesystem(Store(storage.filesystem(root)[0]))
