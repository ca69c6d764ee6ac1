"""What can be checked of docker/ where no engine runs: files, pins, ports, secrets, users, Compose's own reading."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))


def instructions(dockerfile: Path, name: str) -> list[str]:
    """The arguments of every instruction of this name, continuation lines joined."""
    lines = dockerfile.read_text().replace("\\\n", " ").splitlines()
    return [line.removeprefix(f"{name} ").strip() for line in lines if line.startswith(f"{name} ")]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_base_images_are_pinned_to_a_release(dockerfile: Path) -> None:
    for image in instructions(dockerfile, "FROM"):
        assert image == "jobs" or re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image), image


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_images_take_the_same_set_up_and_locks_as_a_machine(dockerfile: Path) -> None:
    environment = dockerfile.name.removesuffix(".Dockerfile")
    assert any(run.startswith(f"scripts/setup.sh {environment}") for run in instructions(dockerfile, "RUN"))
    assert not any("pip install" in run for run in instructions(dockerfile, "RUN"))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_copied_files_exist_and_are_in_the_build_context(dockerfile: Path) -> None:
    context = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for copy in instructions(dockerfile, "COPY"):
        for source in copy.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in context, source


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_nobody_runs_as_root(dockerfile: Path) -> None:
    assert instructions(dockerfile, "USER")[-1] == "10001"


def test_every_service_is_built_from_a_dockerfile_here_or_pinned() -> None:
    for name, service in SERVICES.items():
        if build := service.get("build"):
            assert (DOCKER / build["context"] / build["dockerfile"]).is_file(), name
        else:
            assert re.search(r":\d+\.\d+", service["image"]), name


def test_every_port_is_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_service_but_the_one_off_says_when_it_is_well() -> None:
    assert [name for name, service in SERVICES.items() if "healthcheck" not in service] == ["airflow-init"]


def test_secrets_come_from_the_environment_and_the_example_names_each() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    example = dict(
        line.split("=", 1) for line in (DOCKER / ".env.example").read_text().splitlines() if re.match(r"\w+=", line)
    )
    keys = {"AIRFLOW_API_SECRET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_FERNET_KEY"}
    assert needed == keys | {"POSTGRES_PASSWORD", "SPARK_AUTHENTICATE_SECRET"}
    assert {name: example[name] for name in needed} == dict.fromkeys(needed, "")


def test_nobody_submits_to_spark_without_the_secret() -> None:
    for name in ("spark-master", "spark-worker", "airflow-scheduler"):
        assert SERVICES[name]["environment"]["SPARK_AUTHENTICATE_SECRET"].startswith("${SPARK_AUTHENTICATE_SECRET:?")
    assert "\nspark.master.rest.enabled false\n" in (ROOT / "jobs/platform/spark_conf/spark-defaults.conf").read_text()


def test_commands_of_ours_exist() -> None:
    for name, service in SERVICES.items():
        for part in service.get("command", []):
            for script in re.findall(r"scripts/\w+", part):
                assert os.access(ROOT / script, os.X_OK), (name, script)


def test_all_services_that_touch_tables_see_the_same_folders() -> None:
    def tables(name: str) -> set[str]:
        return {volume for volume in SERVICES[name]["volumes"] if volume.startswith(("warehouse:", "${ATELIER_DATA"))}

    assert len(tables("spark-worker")) == 2
    assert tables("spark-worker") == tables("airflow-scheduler")


def test_the_shop_reads_tables_and_writes_events_where_the_jobs_find_them() -> None:
    volumes = SERVICES["shop"]["volumes"]
    assert "warehouse:/warehouse:ro" in volumes
    data = next(volume for volume in SERVICES["spark-worker"]["volumes"] if volume.endswith(":/data:ro"))
    assert data in volumes and data.replace(":/data:ro", "/events:/events") in volumes
    assert SERVICES["shop"]["environment"]["ATELIER_SHOP_EVENTS"] == "/events"


def test_the_shop_reads_every_variable_that_it_is_given() -> None:
    code = "".join(path.read_text() for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "jobs/platform").glob("*.py")])
    given = {name for name in SERVICES["shop"]["environment"] if name.startswith("ATELIER_SHOP_")}
    assert len(given) > 5 and not [name for name in given if f'"{name}"' not in code]


def test_compose_reads_it() -> None:
    probe = ["docker", "compose", "version"]
    if shutil.which("docker") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no `docker compose` here: compose.yaml was checked as YAML only")
    secrets = {name: "x" for name in re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text())}
    command = ["docker", "compose", "--file", str(DOCKER / "compose.yaml"), "config", "--quiet"]
    outcome = subprocess.run(command, env=os.environ | secrets, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
