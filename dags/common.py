"""What the DAGs share: form fields, the jobs' command lines, assets, and how a task is run.

All that is known of the jobs is read from jobs.json, which `make docs` writes (jobs.platform.dag_interface).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, Param
from airflow.sdk.exceptions import AirflowFailException

from dags.alerts import on_failure

_INTERFACE = json.loads(Path(__file__).with_name("jobs.json").read_text(encoding="utf-8"))
#: Setting -> JSON schema; job ("ingest.articles") -> settings, files, reads, writes.
SETTINGS: dict[str, dict[str, Any]] = _INTERFACE["settings"]
JOBS: dict[str, dict[str, list[str]]] = _INTERFACE["jobs"]

WEDNESDAY = 2

#: As-of date of the newest whole week in the tables (YYYY-MM-DD), set by `make up`.
LATEST_WEEK = os.environ.get("ATELIER_LATEST_WEEK")

#: Who goes first where both wait for a slot: what comes every week, before what somebody or an asset started.
EVERY_WEEK, IN_BETWEEN = 10, 1

TASK_DEFAULTS: dict[str, Any] = {
    "owner": "machine-learning",
    "pool": "heavy",
    "priority_weight": EVERY_WEEK,
    "weight_rule": "absolute",  # all alike, so the oldest week goes first and a backfill runs week by week
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=12),
    "on_failure_callback": on_failure(),
}

#: Of DAGs without a schedule.
BY_HAND: dict[str, Any] = {
    "schedule": None,
    "start_date": datetime(2000, 1, 5, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": TASK_DEFAULTS | {"priority_weight": IN_BETWEEN},
}


def table(path: str) -> Asset:
    """The asset of a table ("silver/articles"). See dags.operators for what its events carry."""
    return Asset(path, group=path.partition("/")[0])


def delivered(part: str) -> Asset:
    """The asset of what the retailer delivers: articles, customers, transactions or images."""
    return Asset(f"delivered/{part}", group="delivered")


def lineage(job: str) -> dict[str, list[Asset]]:
    """A task's inlets and outlets: what its job declares."""
    declared = JOBS[job]
    inlets = [*map(delivered, declared["files"]), *map(table, declared["reads"])]
    return {"inlets": inlets, "outlets": [*map(table, declared["writes"])]}


def field(name: str, **own: Any) -> Param:
    """A field of the trigger form: the setting of that name, but for what a DAG has of its own.

    The default is ATELIER_<NAME> where that is set, as for the jobs themselves.
    """
    schema = SETTINGS[name] | own
    if "default" not in schema:  # has to be given
        return Param(**schema)
    default = schema.pop("default")
    text = os.environ.get(f"ATELIER_{name.upper()}") if "default" in SETTINGS[name] else None
    if text is not None and isinstance(default, list):
        default = [part for part in text.split(",") if part]
    elif text is not None:
        default = text if isinstance(default, str | None) else json.loads(text.lower())
    return Param(default, **schema)


def several(name: str, choices: list[str], default: list[str], description: str) -> Param:
    """A field for some of the choices. Its default is ATELIER_<NAME> (names with commas between) where that is set."""
    text = os.environ.get(f"ATELIER_{name.upper()}")
    return Param(
        [part.strip() for part in text.split(",") if part.strip()] if text is not None else default,
        type="array",
        items={"type": "string", "enum": choices},
        minItems=1,
        examples=choices,
        description=description,
    )


def as_of_field(description: str) -> Param:
    """The as-of date of a DAG that is run by hand alone: the newest whole week, where that is known."""
    known = {"default": LATEST_WEEK} if LATEST_WEEK else {}
    return field("as_of_date", description=description, **known)


def form(*names: str) -> dict[str, Param]:
    """The fields of these settings."""
    return {name: field(name) for name in names}


def from_form(name: str) -> str:
    """A field's value as a template: nothing for an empty field, several with commas between."""
    value = f"params.{name}"
    as_text = f"'' if {value} is none else {value} if {value} is string or {value} is not sequence"
    return f"{{{{ {as_text} else {value} | join(',') }}}}"


def week_end(day: str) -> str:
    """The day (YYYY-MM-DD) itself; raises AirflowFailException unless a week ends there, so that nothing is begun."""
    found = date.fromisoformat(day)
    before = found - timedelta(days=(found.weekday() - WEDNESDAY) % 7)
    if before != found:
        raise AirflowFailException(
            f"as_of_date {day} is a {found:%A}; weeks run from Wednesday to Wednesday:"
            f" give {before} or {before + timedelta(days=7)}"
        )
    return day


def arguments(
    job: str, fields: Mapping[str, Param], value: Callable[[str], str] = from_form, **given: str
) -> list[str]:
    """A job's command line: the fields of the form that it takes, and what the DAG gives itself.

    Args:
        job: "ingest.articles".
        fields: the form.
        value: gives a field's value as a template.
        given: setting -> value or template, in place of the form's.

    Raises:
        KeyError: the job takes no such setting.
    """
    taken = JOBS[job]["settings"]
    if unknown := given.keys() - set(taken):
        raise KeyError(f"{job} takes no setting {unknown.pop()}")
    values = {name: value(name) for name in fields if name in taken} | {"run_id": "{{ run_id }}"} | given
    return [f"--{name.replace('_', '-')}={values[name]}" for name in taken if name in values]
