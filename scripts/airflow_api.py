"""The few calls of Airflow's REST API that the demo, `make up` and the integration test need; standard library only."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

DAG_ID = "weekly_recommendations"

#: Opens addresses of this machine, which never go through a proxy.
open_local = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class AirflowApi:
    """Airflow's API server on this machine, as user `admin`, for one DAG: the weekly one, or another."""

    def __init__(self, port: int, password: str, dag_id: str = DAG_ID) -> None:
        self.url, self._dag = f"http://127.0.0.1:{port}", f"/api/v2/dags/{dag_id}"
        body = {"username": "admin", "password": password}
        self._token = self._call("POST", "/auth/token", body)["access_token"]

    def prepare(self, timeout: float = 60) -> None:
        """Wait until the DAG is parsed, make the pool it runs in (one slot) unless it is there, and unpause the DAG.

        Raises TimeoutError with the DAG's import errors when it does not appear.
        """
        deadline = time.monotonic() + timeout
        while not _found(lambda: self._call("GET", self._dag)):
            if time.monotonic() > deadline:
                errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
                raise TimeoutError(f"the DAG did not load: {[error['stack_trace'] for error in errors]}")
            time.sleep(0.5)
        if not _found(lambda: self._call("GET", "/api/v2/pools/heavy")):
            pool = {"name": "heavy", "slots": 1, "description": "Tasks that should not share a small machine"}
            self._call("POST", "/api/v2/pools", pool)
        self._call("PATCH", self._dag, {"is_paused": False})

    def trigger(self, as_of_date: date, conf: dict[str, Any]) -> str:
        """Run the week that ends on `as_of_date`, with these params; returns the run id.

        It is the very run that the schedule or a backfill would make of that week. If that run exists it is done
        again: cleared when its params are the same, else replaced.
        """
        start = as_of_date - timedelta(days=7)
        for run in self._runs(start):
            path = f"{self._dag}/dagRuns/{quote(run['dag_run_id'])}"
            if run["conf"] == conf:
                self._call("POST", f"{path}/clear", {"dry_run": False})
                return run["dag_run_id"]
            self._call("DELETE", path)
        week = {"data_interval_start": _midnight(start), "data_interval_end": _midnight(as_of_date)}
        body = {"logical_date": _midnight(start), "dag_run_id": f"demo__{as_of_date}", "conf": conf, **week}
        return self._call("POST", f"{self._dag}/dagRuns", body)["dag_run_id"]

    def run_state(self, run_id: str) -> str:
        """queued, running, success or failed."""
        return self._call("GET", f"{self._dag}/dagRuns/{quote(run_id)}")["state"]

    def run_ids(self) -> list[str]:
        """The ids of the DAG's runs."""
        runs = self._call("GET", f"{self._dag}/dagRuns?limit=100")["dag_runs"]
        return [run["dag_run_id"] for run in runs]

    def update_asset(self, name: str, extra: dict[str, Any]) -> None:
        """Record an update of an asset, as a task that has it as its outlet does."""
        (asset,) = self._call("GET", f"/api/v2/assets?name_pattern={quote(name)}")["assets"]
        self._call("POST", "/api/v2/assets/events", {"asset_id": asset["id"], "extra": extra})

    def asset_events(self) -> list[dict[str, Any]]:
        """Updates of all assets: the asset's name, extra, the run and task that made it, ..."""
        return self._call("GET", "/api/v2/assets/events?limit=100")["asset_events"]

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The run's task instances: task_id, state, try_number, duration (seconds), ..."""
        path = f"{self._dag}/dagRuns/{quote(run_id)}/taskInstances"
        return self._call("GET", path)["task_instances"]

    def _runs(self, start: date) -> list[dict[str, Any]]:
        day = quote(_midnight(start))
        path = f"{self._dag}/dagRuns?logical_date_gte={day}&logical_date_lte={day}"
        return self._call("GET", path)["dag_runs"]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Content-Type", "application/json")
        if hasattr(self, "_token"):
            request.add_header("Authorization", f"Bearer {self._token}")
        data = None if body is None else json.dumps(body).encode()
        with open_local(request, data, timeout=60) as response:
            text = response.read()
        return json.loads(text) if text else None


def _found(call: Callable[[], Any]) -> bool:
    """False where the API answers 404."""
    try:
        call()
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False
    return True


def _midnight(day: date) -> str:
    return f"{day}T00:00:00Z"
