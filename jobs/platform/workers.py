"""The process that Spark forks its Python workers from: what their tasks need is loaded once."""

from __future__ import annotations

import gc
import importlib
from socket import socket

from pyspark import daemon

_tasks_of = daemon.worker


def _tasks_until_java_goes(sock: socket, authenticated: bool) -> int:
    """Tasks of one connection; Java that is gone ends the application, which is no fault to tell of."""
    try:
        return _tasks_of(sock, authenticated)
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    for module in ("jobs.platform.job", "jobs.platform.measures", "pyspark.worker"):
        importlib.import_module(module)
    gc.freeze()  # a worker collects garbage after each task, and would look through all of these every time
    daemon.worker = _tasks_until_java_goes
    daemon.manager()
