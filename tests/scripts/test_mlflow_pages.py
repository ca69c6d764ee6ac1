"""MLflow's page as `make up` serves it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from mlflow.server import app

from scripts import mlflow_pages


def test_the_page_chooses_model_training_and_no_telemetry_before_mlflow_starts() -> None:
    mlflow_pages.post_worker_init(SimpleNamespace(wsgi=app))
    answer = app.test_client().get("/", headers={"Host": "localhost"})
    page = answer.get_data(as_text=True)
    assert 0 < page.index("mlflow.workflowType_v1") < page.index("static/js/main")
    assert len(answer.data) == answer.content_length and "ETag" not in answer.headers


def test_mlflow_still_knows_these_choices() -> None:
    """The names are MLflow's own, and change with it."""
    assert app.static_folder is not None
    code = "".join(file.read_text() for file in Path(app.static_folder).rglob("*.js"))
    names = {name.removesuffix("_v1") for name in mlflow_pages.FIRST_CHOICES}
    assert [name for name in sorted(names) if f'"{name}"' not in code] == []
