"""What the DAGs share: form fields and how a task is run."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Param

TASK_DEFAULTS: dict[str, Any] = {
    "pool": "heavy",
    "weight_rule": "absolute",  # all alike, so the oldest week goes first and a backfill runs week by week
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=12),
}


def setting(name: str, default: Any, **schema: Any) -> Param:
    """A field of the trigger form. The default is ATELIER_<NAME> where that is set, as for the jobs themselves."""
    text = os.environ.get(f"ATELIER_{name.upper()}")
    if text is not None:
        default = text if isinstance(default, str | None) else json.loads(text.lower())
    return Param(default, **schema)


def warehouse_setting() -> Param:
    """The field every form has."""
    return setting(
        "warehouse",
        "warehouse",
        type="string",
        description="Root of all Delta tables: a folder or an object-store URI",
    )


def flags(names: list[str]) -> list[str]:
    """The form's fields on a job's command line, an empty value for an empty field."""
    return [f"--{name.replace('_', '-')}={{{{ '' if params.{name} is none else params.{name} }}}}" for name in names]
