"""What starts with the shop and with its search: none of the libraries that take seconds and hundreds of megabytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (
            "app.config.wsgi, app.config.urls",
            {"torch", "mlflow", "pyspark", "sklearn", "polars"},
        ),
        (
            "app.catalog.finder_process",
            {"torch", "mlflow", "pyspark", "sklearn", "pandas", "polars"},
        ),
        ("jobs.similarity.catalogue_search", {"torch", "pytorch_lightning", "transformers", "sklearn"}),
    ],
)
def test_it_is_light(tmp_path: Path, modules: str, heavy: set[str]) -> None:
    environment = os.environ | {"ATELIER_SHOP_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "app.config.settings"}
    environment["ATELIER_SHOP_EVENTS"] = str(tmp_path / "events")
    code = f"import django; django.setup(); import sys, {modules}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert not heavy & set(done.stdout.split())
