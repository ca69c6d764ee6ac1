"""The weekly DAG, run by Airflow itself, and what came out in plain words (make demo).

    python -m scripts.demo [--data DIR] [--as-of-date YYYY-MM-DD] [--warehouse DIR] [--mapping M] [--encoder E]

Runs in the airflow environment. Without --data it makes a small sample first. Services that were not running are
started for the run and stopped after it; where they were, the run's page in the UI is said.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.airflow_api import DAG_ID, AirflowApi
from scripts.services import HOME, ROOT, ServiceError, Services, connect, start_airflow

SAMPLE = ROOT / "data" / "sample"
#: Some customers of a larger shop, which are sparser than a small shop's, and all pictures, as real catalogues have.
SAMPLED = ("--scale", "0.05", "--customers", "5000", "--images", "all")
JOBS_PYTHON = str(ROOT / ".venv" / "jobs" / "bin" / "python")
POLL_SECONDS = 2.0
WEDNESDAY = 2
#: The jobs' image encoders, and which of them is taken where none is named.
ENCODER = json.loads((ROOT / "dags" / "jobs.json").read_text(encoding="utf-8"))["settings"]["encoder"]
WAREHOUSE = os.environ.get("ATELIER_WAREHOUSE", "warehouse")

console = Console(highlight=False)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked before anything starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the retailer's files (default: a generated sample)")
    parser.add_argument("--as-of-date", type=date.fromisoformat, default=date(2020, 9, 23), help="a Wednesday")
    parser.add_argument("--warehouse", default=WAREHOUSE, help="root of the tables: a folder or a URI")
    parser.add_argument("--mapping", default="hm", help="a mapping's name, or a TOML file")
    parser.add_argument("--encoder", choices=ENCODER["enum"], default=ENCODER["default"], help="image encoder")
    arguments = parser.parse_args(argv)
    if arguments.as_of_date.weekday() != WEDNESDAY:
        parser.error(f"{arguments.as_of_date} is a {arguments.as_of_date:%A}; weeks run from Wednesday to Wednesday")
    if arguments.data is not None and not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not a folder")
    return arguments


def absolute(path: str) -> str:
    """A path as the jobs see it from wherever they run; a URI or a mapping's name as it is."""
    return path if "://" in path else str(Path(path).resolve())


def params(arguments: argparse.Namespace, data: Path) -> dict[str, Any]:
    """The DAG run's params, as its form would give them."""
    mapping = arguments.mapping
    return {
        "data": str(data.resolve()),
        "warehouse": absolute(arguments.warehouse),
        "mapping": absolute(mapping) if mapping.endswith(".toml") else mapping,
        "encoder": arguments.encoder,
    }


def make_sample() -> None:
    """The demo's sample, unless it is there. It appears as a whole or not at all."""
    if (SAMPLE / "articles.csv").exists():
        return
    unfinished = SAMPLE.with_name("sample.unfinished")
    command = [JOBS_PYTHON, "-m", "sample_data", "generate", "--out", str(unfinished), *SAMPLED]
    with console.status(f"making a sample shop in {SAMPLE.relative_to(ROOT)}"):
        outcome = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if outcome.returncode:
        sys.exit("error: the sample could not be generated")
    (unfinished / "events").mkdir(exist_ok=True)
    for file in SAMPLE.glob("events/*"):  # the shop window ran before the demo
        file.rename(unfinished / "events" / file.name)
    shutil.rmtree(SAMPLE, ignore_errors=True)
    unfinished.rename(SAMPLE)
    console.print(" ".join(outcome.stdout.split()).replace(str(unfinished), str(SAMPLE)), soft_wrap=True)


def follow(api: AirflowApi, run_id: str) -> bool:
    """Print each task as it ends, until the run does; True if it succeeded."""
    printed: set[tuple[str, int, str]] = set()
    with console.status("waiting for the scheduler") as status:
        while True:
            state = api.run_state(run_id)
            tasks = sorted(api.tasks(run_id), key=lambda task: task["end_date"] or "")
            for task in tasks:
                event = (name_of(task), task["try_number"], task["state"])
                if task["state"] in ("success", "failed", "up_for_retry") and event not in printed:
                    printed.add(event)
                    console.print(f"  {line(task)}")
            running = [name_of(task) for task in tasks if task["state"] == "running"]
            status.update(f"running {', '.join(running)}" if running else "waiting for the scheduler")
            if state in ("success", "failed"):
                return state == "success"
            time.sleep(POLL_SECONDS)


def name_of(task: dict[str, Any]) -> str:
    """A task's id and, where it is mapped, its label."""
    return f"{task['task_id']} {task['rendered_map_index']}" if task["map_index"] >= 0 else task["task_id"]


def line(task: dict[str, Any]) -> str:
    """One task that ended, in one line."""
    words = {"success": "[green]done[/]", "failed": "[red]failed[/]", "up_for_retry": "[yellow]will be retried[/]"}
    return f"{name_of(task):<34}{task['duration'] or 0:6.1f} s  {words[task['state']]}"


def log_of(dag_id: str, run_id: str, task: dict[str, Any]) -> Path:
    """The log of a task's last try."""
    folder = HOME / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task['task_id']}"
    if task["map_index"] >= 0:
        folder /= f"map_index={task['map_index']}"
    return folder / f"attempt={task['try_number']}.log"


def explain(api: AirflowApi, run_id: str, dag_id: str = DAG_ID) -> None:
    """Which task failed, the job's own last words, and where its log is."""
    for task in api.tasks(run_id):
        if task["state"] == "failed":
            log = log_of(dag_id, run_id, task)
            console.print(f"\n[red]{name_of(task)} failed:[/] {last_words(log)}\nIts log: {log}", soft_wrap=True)


def last_words(log: Path) -> str:
    """The job's own error line from a task's log (JSON lines), or the exception that ended the task."""
    if not log.exists():
        return "it never started"
    events = [json.loads(text) for text in log.read_text().splitlines() if text.startswith("{")]
    said = [text.partition(": ")[2] for event in events if (text := str(event["event"])).startswith("ERROR ")]
    raised = [detail["exc_value"] for event in events for detail in event.get("error_detail") or []]
    return (said or raised or ["no error line"])[-1]


def summarise(as_of_date: date, conf: dict[str, Any]) -> int:
    """The plain-language summary, by the jobs environment, which can read the tables; its exit code."""
    flags = [f"--as-of-date={as_of_date}", f"--warehouse={conf['warehouse']}"]
    command = [JOBS_PYTHON, "-m", "jobs.publish.summary", *flags]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def run(arguments: argparse.Namespace) -> int:
    """The whole demo; its exit code."""
    services = Services()
    console.print("Starting Airflow" if not services.running() else "Airflow runs already")
    started = start_airflow(services)
    try:
        if arguments.data is None:
            make_sample()
        conf = params(arguments, arguments.data or SAMPLE)
        api = connect(services)
        run_id = api.trigger(arguments.as_of_date, conf)
        stays = "api-server" not in started  # else the link would be dead once it is read
        link = f": {api.url}/dags/{DAG_ID}/runs/{run_id}" if stays else ""
        console.print(f"Run {run_id} of {DAG_ID}{link}", soft_wrap=True)
        if not follow(api, run_id):
            explain(api, run_id)
            return 1
        return summarise(arguments.as_of_date, conf)
    finally:
        services.stop(started)


def make_up(arguments: argparse.Namespace) -> str:
    """The command that serves this run's warehouse, with forms filled in as this run's was."""
    usual = {"warehouse": WAREHOUSE, "data": None, "mapping": "hm", "encoder": ENCODER["default"]}
    given = {name: vars(arguments).get(name, value) for name, value in usual.items()}
    others = [f"{name.upper()}={shlex.quote(str(value))}" for name, value in given.items() if value != usual[name]]
    return " ".join(["make up", *others])


def timed(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run it and print how long it took and how to look at it; its exit code.

    Raises SystemExit with one line where services fail.
    """
    begun = time.monotonic()
    try:
        code = run(arguments)
    except ServiceError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
    console.print(f"\n{'Finished' if code == 0 else 'Stopped'} after {time.monotonic() - begun:.0f} s.")
    if not Services().running():
        console.print(f"To look at the run in the browser: {make_up(arguments)}", soft_wrap=True)
    return code


def main() -> None:
    """The command line."""
    sys.exit(timed(run, parse()))


if __name__ == "__main__":
    main()
