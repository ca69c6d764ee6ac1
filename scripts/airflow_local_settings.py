"""Read by Airflow at start (scripts/ is on its path). Makes its SQLite metadata safe for several writers.

Python's sqlite3 opens a transaction at the first INSERT, UPDATE or DELETE, but not at a SAVEPOINT: that one opens a
read transaction, and its first write fails at once with "database is locked" when another process has written in
between, whatever the timeout. `airflow backfill create` does this for every week it creates. Taking the write lock
before the savepoint makes it wait its turn instead.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection, Engine, event


@event.listens_for(Engine, "savepoint")
def begin_before_savepoint(connection: Connection, name: str) -> None:
    """Open a write transaction around a savepoint that would otherwise be outside any."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection) and not driver.in_transaction:
        driver.execute("BEGIN IMMEDIATE")
