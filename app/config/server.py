"""The shop behind gunicorn: a process with threads, since what pages wait for is DuckDB, which frees Python's lock."""

from __future__ import annotations

import os
from typing import Any

from gunicorn.app.base import BaseApplication
from prometheus_client.multiprocess import mark_process_dead

#: Pages that are answered at a time.
THREADS = 8


class Server(BaseApplication):
    """gunicorn with these settings instead of a command line."""

    def load_config(self) -> None:
        for name, value in settings().items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from app.config.wsgi import application
        from app.events import housekeeping
        from app.events.writer import writer

        writer().start()
        housekeeping.start()
        return application


def settings() -> dict[str, object]:
    """gunicorn's settings."""
    return {
        "bind": os.environ.get("ATELIER_SHOP_BIND", "127.0.0.1:8000"),
        "workers": int(os.environ.get("ATELIER_SHOP_WORKERS", "1")),
        "worker_class": "gthread",
        "threads": THREADS,
        "keepalive": 30,
        "graceful_timeout": 10,
        "limit_request_line": 4094,
        "control_socket_disable": True,
        "child_exit": _forget_process,
    }


def _forget_process(arbiter: Any, worker: Any) -> None:
    mark_process_dead(worker.pid)


def serve() -> None:
    """Serve until a signal ends it."""
    Server().run()
