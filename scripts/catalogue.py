"""The catalogue DAG, run by Airflow itself, and what each job said of its work (make catalogue).

    python -m scripts.catalogue --data DIR [--mapping M] [--as-of-date YYYY-MM-DD] [--warehouse DIR]

Runs in the airflow environment. For a catalogue without customers it is all there is to run. Services that were not
running are started for the run and stopped after it.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

from scripts.airflow_api import AirflowApi
from scripts.demo import WAREHOUSE, WEDNESDAY, absolute, console, explain, follow, log_of, name_of, timed
from scripts.services import Services, connect, start_airflow

DAG_ID = "catalogue_intelligence"


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked before anything starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the catalogue's file and pictures")
    parser.add_argument("--mapping", default="fashion_product_images", help="a mapping's name, or a TOML file")
    parser.add_argument("--as-of-date", type=date.fromisoformat, default=date(2020, 9, 23), help="a Wednesday")
    parser.add_argument("--warehouse", default=WAREHOUSE, help="root of the tables: a folder or a URI")
    arguments = parser.parse_args(argv)
    if arguments.as_of_date.weekday() != WEDNESDAY:
        parser.error(f"{arguments.as_of_date} is a {arguments.as_of_date:%A}; weeks run from Wednesday to Wednesday")
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not a folder")
    return arguments


def params(arguments: argparse.Namespace) -> dict[str, Any]:
    """The DAG run's params, as its form would give them."""
    mapping = arguments.mapping
    return {
        "as_of_date": str(arguments.as_of_date),
        "data": str(arguments.data.resolve()),
        "warehouse": absolute(arguments.warehouse),
        "mapping": absolute(mapping) if mapping.endswith(".toml") else mapping,
    }


def summary(log: Path, task_id: str) -> str | None:
    """The line in which a task's job said what it did, from the task's log (JSON lines)."""
    events = [json.loads(text) for text in log.read_text().splitlines() if text.startswith("{")]
    said = [str(event["event"]) for event in events if str(event["event"]).startswith(f"{task_id}: ")]
    return said[-1].removeprefix(f"{task_id}: ") if said else None


def tell(api: AirflowApi, run_id: str) -> None:
    """What every job said, in the order they ended."""
    for task in sorted(api.tasks(run_id), key=lambda task: task["end_date"] or ""):
        if task["state"] == "success" and (said := summary(log_of(DAG_ID, run_id, task), task["task_id"])):
            label = task["rendered_map_index"] if task["map_index"] >= 0 else None
            said = said.removeprefix(f"{label}: ")  # some jobs begin with it themselves
            console.print(f"\n[bold]{name_of(task)}[/]: {said}", soft_wrap=True)


def run(arguments: argparse.Namespace) -> int:
    """The whole run; its exit code. A method whose weights are missing fails alone, and is said."""
    services = Services()
    console.print("Starting Airflow" if not services.running() else "Airflow runs already")
    started = start_airflow(services)
    try:
        api = connect(services, DAG_ID)
        run_id = api.trigger(arguments.as_of_date, params(arguments))
        console.print(f"Run {run_id} of {DAG_ID}")
        is_done = follow(api, run_id)
        tell(api, run_id)
        explain(api, run_id, DAG_ID)
        return 0 if is_done else 1
    finally:
        services.stop(started)


def main() -> None:
    """The command line."""
    sys.exit(timed(run, parse()))


if __name__ == "__main__":
    main()
