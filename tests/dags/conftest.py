"""These tests run in two environments: where Airflow is, and (against its DAG as JSON) where the jobs are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

IN_AIRFLOW = find_spec("airflow") is not None
collect_ignore = (
    ["test_lineage.py", "test_params.py"]
    if IN_AIRFLOW
    else [
        f"test_{of}.py"
        for of in (
            "alerts",
            "backtest",
            "catalogue_intelligence",
            "maintenance",
            "model_systems",
            "shop_events",
            "operators",
            "weekly_recommendations",
        )
    ]
)

if IN_AIRFLOW:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="atelier-airflow-")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "scripts" / "plugins")
    sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """DAG id -> the DAG as JSON, from Airflow's environment: {tasks: {id: upstream ids}, ...}; see structure.py."""
    python = ROOT / ".venv" / "airflow" / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    environment |= {"PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))}
    command = [str(python), str(Path(__file__).with_name("structure.py"))]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(outcome.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def dag(dags: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The weekly DAG of `dags`."""
    return dags["weekly_recommendations"]
