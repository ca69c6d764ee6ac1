"""MLflow: where runs are recorded, and models as registered folders of plain files.

A model is a folder of tensors, arrays and JSON, never a pickle. Registered versions are found again by their tags, and
the one in use carries the alias `champion`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion as RegisteredVersion
from mlflow.exceptions import MlflowException

from jobs.platform.errors import JobError
from jobs.platform.settings import Settings

EXPERIMENT = "atelier"
CHAMPION = "champion"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class ModelVersion:
    """One registered version of a model: `version` counts from 1 within `name`."""

    name: str
    version: str
    mlflow_run_id: str
    tags: Mapping[str, str]


def use_tracking(settings: Settings) -> None:
    """Point MLflow at the run's store, and create store and experiment where they do not exist.

    A SQLite store keeps its artifacts in the folder `artifacts` beside it; a server knows its own place.
    Raises JobError when the warehouse is a URI and no tracking URI was given.
    """
    try:
        uri = settings.tracking_uri
    except ValueError as error:
        raise JobError(str(error)) from None
    mlflow.set_tracking_uri(uri)
    if not uri.startswith(_SQLITE):
        mlflow.set_experiment(EXPERIMENT)
        return
    folder = Path(uri.removeprefix(_SQLITE)).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:  # two tasks may meet an empty store; its tables are made once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mlflow.get_experiment_by_name(EXPERIMENT) is None:
            mlflow.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment(EXPERIMENT)


@contextmanager
def start_run(settings: Settings, job: str) -> Iterator[Run]:
    """An MLflow run named after the job, tagged with the run's id and as-of date; calls `use_tracking` itself."""
    use_tracking(settings)
    tags = {"job": job, **_stamp(settings)}
    with mlflow.start_run(run_name=f"{job} {settings.as_of_date}", tags=tags) as run:
        yield run


def log_model_folder(name: str, folder: Path, settings: Settings, tags: Mapping[str, str] | None = None) -> str:
    """Log a folder of plain files to the active run and register it; returns the new version of `name`.

    The version carries the run's id and as-of date and `tags`. Raises RuntimeError outside of `start_run`.
    """
    run = mlflow.active_run()
    if run is None:
        raise RuntimeError("log_model_folder belongs inside start_run")
    mlflow.log_artifacts(str(folder), name)
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name, source=mlflow.get_artifact_uri(name), run_id=run.info.run_id, tags={**_stamp(settings), **(tags or {})}
    )
    return str(version.version)


def load_model_folder(name: str, version: str, destination: Path) -> Path:
    """Copy the files of a registered version (a number, or `champion`) into `destination`, and return it.

    Raises JobError when there is no such version, or its files are gone.
    """
    separator = "/" if version.isdecimal() else "@"
    try:
        source = f"models:/{name}{separator}{version}"
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(destination)))
    except (MlflowException, OSError) as error:
        raise JobError(
            f"{name} {version}: cannot be loaded from the model registry {mlflow.get_tracking_uri()} ({error}); "
            "run the task that registers it again, or name another version"
        ) from error


def find_versions(name: str, **tags: str) -> list[ModelVersion]:
    """Registered versions of `name` whose tags include `tags`, the newest first; empty when there is none."""
    quoted = name.replace("'", "''")
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = mlflow.MlflowClient().search_model_versions(f"name = '{quoted}'", page_token=token)
        found += [_model_version(v) for v in page]
        token = page.token
        if not token:
            break
    found = [v for v in found if tags.items() <= v.tags.items()]
    return sorted(found, key=lambda v: int(v.version), reverse=True)


def set_champion(name: str, version: str) -> None:
    """Make `version` the champion of `name`."""
    mlflow.MlflowClient().set_registered_model_alias(name, CHAMPION, version)


def champion(name: str) -> ModelVersion | None:
    """The version of `name` that carries the alias `champion`; None when there is none."""
    try:
        version = mlflow.MlflowClient().get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return _model_version(version)


def _model_version(entity: RegisteredVersion) -> ModelVersion:
    return ModelVersion(entity.name, str(entity.version), entity.run_id or "", dict(entity.tags))


def _stamp(settings: Settings) -> dict[str, str]:
    return {"run_id": settings.run_id, "as_of_date": settings.as_of_date.isoformat()}
