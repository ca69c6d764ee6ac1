"""The process that Spark forks its Python workers from: what their tasks need is loaded once."""

from __future__ import annotations

import gc
import importlib

from pyspark.daemon import manager

if __name__ == "__main__":
    for module in ("jobs.platform.job", "jobs.platform.measures", "pyspark.worker"):
        importlib.import_module(module)
    gc.freeze()  # a worker collects garbage after each task, and would look through all of these every time
    manager()
