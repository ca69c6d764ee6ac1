"""MLflow: where runs are recorded, and models as registered folders of plain files.

A model is a folder of tensors, arrays and JSON, never a pickle, with the checksums of its files beside them. Registered
versions are found again by their tags, and the one in use carries the alias `champion`.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion as RegisteredVersion
from mlflow.exceptions import MlflowException

from jobs.platform.checksums import verify_checksums, write_checksums
from jobs.platform.errors import JobError
from jobs.platform.mlflow_runs import (
    PROCESS,
    close_stale_runs,
    ends_as_it_ends,
    naming_store,
    this_process,
    without_warning,
)
from jobs.platform.packaging import imports_of
from jobs.platform.settings import Settings

EXPERIMENT = "atelier"
#: Makes MLflow's pages show runs, charts and models first, and not traces of language models.
_EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "Every run of every job that trains or judges, named after the job and its as-of date. "
    "Trained models are under Models; the version in use has the alias champion.",
}
CHAMPION = "champion"
#: The model card among a version's files; its description in the registry is the same text.
CARD = "README.md"
_SQLITE, _MODEL = "sqlite:///", "models:/"
#: Tags: of a version, the digest of its files; of a run that ended well, why it made nothing.
_DIGEST, _WITHOUT_RESULT = "digest", "without_result"


@dataclass(frozen=True)
class ModelVersion:
    """One registered version of a model: `version` counts from 1 within `name`.

    Attributes:
        model_id: of MLflow's page of the model and its figures; None where it was registered as a mere folder.
    """

    name: str
    version: str
    mlflow_run_id: str
    tags: Mapping[str, str]
    model_id: str | None = None

    @property
    def digest(self) -> str | None:
        """Of its files (jobs.platform.checksums); None where it was registered by older code."""
        return self.tags.get(_DIGEST)


@naming_store(OSError)
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
        _set_experiment()
        return
    folder = Path(unquote(uri.removeprefix(_SQLITE))).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:  # two tasks may meet an empty store; its tables are made once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mlflow.get_experiment_by_name(EXPERIMENT) is None:
            mlflow.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
    _set_experiment()


def _set_experiment() -> None:
    """Make the experiment the active one; somebody's own description of it stays."""
    tags = mlflow.set_experiment(EXPERIMENT).tags
    if missing := {name: value for name, value in _EXPERIMENT_TAGS.items() if name not in tags}:
        mlflow.set_experiment_tags(missing)


@contextmanager
def start_run(settings: Settings, job: str, **more: str) -> Iterator[Run]:
    """An MLflow run named after the job, tagged with the run's id and as-of date; calls `use_tracking` itself.

    It ends FINISHED, FAILED where the block raises, KILLED on SIGTERM; runs that were killed before are closed.
    `more` are further tags.
    """
    use_tracking(settings)
    tags = {"job": job, PROCESS: this_process(), **_stamp(settings), **more}
    with naming_store():
        close_stale_runs(mlflow.set_experiment(EXPERIMENT).experiment_id)
        with mlflow.start_run(run_name=f"{job} {settings.as_of_date}", tags=tags) as run, ends_as_it_ends():
            yield run


def end_without_result(why: str) -> None:
    """Note in the active run that it ended well and made nothing, and why: for `without_result`."""
    mlflow.set_tag(_WITHOUT_RESULT, why)


@naming_store(OSError)
def without_result(settings: Settings, job: str, **tags: str) -> str | None:
    """Why a job's last finished run of this as-of date and these tags made nothing; None where it made something."""
    wanted = {"job": job, "as_of_date": settings.as_of_date.isoformat(), **tags}
    terms = [f"tags.{name} = {_quoted(value)}" for name, value in wanted.items()]
    found = mlflow.MlflowClient().search_runs(
        [mlflow.set_experiment(EXPERIMENT).experiment_id],
        " AND ".join(["attributes.status = 'FINISHED'", *terms]),
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return found[0].data.tags.get(_WITHOUT_RESULT) if found else None


@naming_store(OSError)
def log_model_folder(name: str, folder: Path, settings: Settings, tags: Mapping[str, str] | None = None) -> str:
    """Log a folder of plain files to the active run and register it; returns the new version of `name`.

    The version carries the run's id and as-of date and `tags`. Raises RuntimeError outside of `start_run`.
    """
    run = _active_run()
    digest = write_checksums(folder)
    mlflow.log_artifacts(str(folder), name)
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        source=mlflow.get_artifact_uri(name),
        run_id=run.info.run_id,
        tags={**_stamp(settings), **(tags or {}), _DIGEST: digest},
    )
    return str(version.version)


@naming_store(OSError)
def log_pyfunc(
    name: str, settings: Settings, tags: Mapping[str, str], *, modules: Sequence[str], card: str, **model: Any
) -> str:
    """Log a model that MLflow can load anywhere to the active run, and register it; returns the new version of `name`.

    Its files bring the code that it needs, the names and versions of the packages that it needs, its card and the
    checksums of all of them. It is registered once it is whole; tags and errors as of `log_model_folder`.

    Args:
        modules: of the project, those that are imported when the model is loaded; the first one has `_load_pyfunc`.
        card: Markdown, what the model is and is for.
        model: further arguments of mlflow.pyfunc.log_model: data_path, signature, input_example, model_config.
    """
    _active_run()
    client, needs = mlflow.MlflowClient(), imports_of(modules)
    with tempfile.TemporaryDirectory() as scratch:
        code, further = Path(scratch, "code"), Path(scratch, "further")
        with without_warning("Failed to validate serving input"):  # it is tried before the checksums are there
            logged = mlflow.pyfunc.log_model(
                name=name,
                loader_module=modules[0],
                code_paths=[str(package) for package in needs.copy_files(code)],
                pip_requirements=list(needs.requirements),
                **model,
            )
        files = mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=str(Path(scratch, "logged")))
        further.mkdir()
        digest = write_checksums(Path(files), further)
        (further / CARD).write_text(card)
        client.log_model_artifacts(logged.model_id, str(further))
    all_tags = {**_stamp(settings), **tags, _DIGEST: digest}
    version = mlflow.register_model(logged.model_uri, name, tags=all_tags).version
    client.update_model_version(name, version, card)
    return str(version)


def _active_run() -> Run:
    run = mlflow.active_run()
    if run is None:
        raise RuntimeError("a model is logged inside of start_run")
    return run


def load_model_folder(name: str, version: str, destination: Path) -> Path:
    """Copy the files of a registered version (a number, or `champion`) into `destination`, and return it.

    Raises JobError when there is no such version, or its files are gone or damaged.
    """
    try:
        found = registered(name, version) if version.isdecimal() else champion(name)
        source = f"models:/{name}/{found.version if found else version}"
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(destination)))
    except (MlflowException, OSError) as error:
        raise JobError(
            f"{name} {version}: cannot be loaded from the model registry {mlflow.get_tracking_uri()} "
            f"({' '.join(str(error).split())}); run the task that registers it again, or name another version"
        ) from error
    try:
        verify_checksums(folder, found.digest if found else None)
    except JobError as error:
        stored = mlflow.MlflowClient().get_model_version_download_uri(name, found.version if found else version)
        raise JobError(f"{name} version {version}: {str(error).replace(str(folder), stored)}") from None
    return folder


@naming_store(OSError)
def find_versions(name: str, **tags: str) -> list[ModelVersion]:
    """Registered versions of `name` whose tags include `tags`, the newest first; empty when there is none."""
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = mlflow.MlflowClient().search_model_versions(f"name = {_quoted(name)}", page_token=token)
        found += [_model_version(v) for v in page]
        token = page.token
        if not token:
            break
    found = [v for v in found if tags.items() <= v.tags.items()]
    return sorted(found, key=lambda v: int(v.version), reverse=True)


@naming_store(OSError)
def registered(name: str, version: str) -> ModelVersion:
    """A version that is registered."""
    return _model_version(mlflow.MlflowClient().get_model_version(name, version))


@naming_store(OSError)
def set_champion(name: str, version: str, reason: str) -> None:
    """Make `version` the champion of `name`; the model's page says why."""
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(name, CHAMPION, version)
    client.update_registered_model(name, f"**Champion: version {version}.** {reason}")


@naming_store(OSError)
def describe_version(name: str, version: str, heading: str, section: str, **tags: str) -> None:
    """Write `section` into the version's card, from that heading to the card's end, and set tags of the version."""
    client = mlflow.MlflowClient()
    entity = client.get_model_version(name, version)
    card = (entity.description or f"# {name}").partition(f"\n## {heading}\n")[0].rstrip()
    card = f"{card}\n\n## {heading}\n\n{section.strip()}\n"
    client.update_model_version(name, version, card)
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, value)
    if model_id := _model_version(entity).model_id:
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, CARD).write_text(card)
            client.log_model_artifact(model_id, str(Path(scratch, CARD)))


@naming_store(OSError)
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
    tags, run_id = dict(entity.tags), entity.run_id or ""
    # MLflow's SQL stores keep the model's id in the source alone.
    source = entity.source or ""
    model_id = source.removeprefix(_MODEL) if source.startswith(_MODEL) else None
    return ModelVersion(entity.name, str(entity.version), run_id, tags, model_id)


def _quoted(text: str) -> str:
    """For MLflow's searches, which know either quote and no way to escape one."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _stamp(settings: Settings) -> dict[str, str]:
    return {"run_id": settings.run_id, "as_of_date": settings.as_of_date.isoformat()}
