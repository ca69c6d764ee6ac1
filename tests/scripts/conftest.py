"""The services and the demo run in Airflow's environment, and so do their tests; the set-up's run in the jobs'."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("airflow") is not None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    collect_ignore = ["test_setup.py", "test_mlflow_pages.py"]
else:
    collect_ignore = [
        "test_services.py",
        "test_demo.py",
        "test_sqlite.py",
        "test_data_docs_plugin.py",
        "test_catalogue.py",
    ]
