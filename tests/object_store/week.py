"""The jobs of a week that need no model, in one process: `python -m tests.object_store.week AS_OF DATA WAREHOUSE`."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.standalone import JOBS
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.spark import spark_session
from jobs.ranking import score
from jobs.ranking.model_registry import Champion


def run(name: str, settings: Settings) -> None:
    module = import_module(f"jobs.{name}")
    print(f"{name}: {module.main(Job(name, settings, module.READS, module.WRITES))}", flush=True)


def main(as_of: str, data: str, warehouse: str) -> None:
    settings = Settings(as_of_date=as_of, data=data, warehouse=warehouse, run_id="test")  # type: ignore[arg-type]
    session = spark_session("week")
    for name in JOBS:
        run(name, settings)
    print(score.score(Job("ranking.score", settings, score.READS, score.WRITES), Champion(None)), flush=True)
    run("publish.recommendations", settings)
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
