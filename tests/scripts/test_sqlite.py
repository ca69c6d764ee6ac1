"""Airflow's SQLite metadata with two writers: a savepoint waits its turn instead of failing."""

from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, text

SETTINGS = Path(__file__).resolve().parents[2] / "scripts" / "airflow_local_settings.py"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path}/airflow.db?timeout=10")
    with engine.begin() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
        connection.execute(text("CREATE TABLE run (week TEXT)"))
    return engine


def read_then_write(engine: Engine) -> None:
    """What creating one run of a backfill does: a savepoint, a look, then (after another process wrote) an insert."""

    def other_process() -> None:
        with engine.begin() as other:
            other.execute(text("INSERT INTO run VALUES ('heartbeat')"))

    thread = threading.Thread(target=other_process)
    with engine.connect() as connection, connection.begin(), connection.begin_nested():
        connection.execute(text("SELECT * FROM run")).all()
        thread.start()
        time.sleep(0.3)
        connection.execute(text("INSERT INTO run VALUES ('2020-09-09')"))
    thread.join()


def test_airflow_as_it_comes_fails_at_once(engine: Engine) -> None:
    """Should this pass one day, scripts/airflow_local_settings.py can go."""
    with pytest.raises(Exception, match="database is locked"):
        read_then_write(engine)


def test_with_our_settings_both_writers_get_through(engine: Engine) -> None:
    spec = importlib.util.spec_from_file_location("airflow_local_settings", SETTINGS)
    assert spec is not None and spec.loader is not None
    settings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(settings)
    try:
        read_then_write(engine)
    finally:
        event.remove(Engine, "savepoint", settings.begin_before_savepoint)
    with engine.connect() as connection:
        assert {row.week for row in connection.execute(text("SELECT * FROM run"))} == {"heartbeat", "2020-09-09"}
