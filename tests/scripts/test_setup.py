"""scripts/setup.sh on machines that lack something: stand-ins on an otherwise empty PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "bash",
    "env",
    "awk",
    "sed",
    "cmp",
    "cp",
    "rm",
    "mkdir",
    "ln",
    "dirname",
    "basename",
    "id",
    "tail",
    "cat",
    "touch",
)


class Machine:
    """A fresh clone of the set-up, and a PATH that holds only what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.bin = folder / "clone", folder / "bin"
        shutil.copytree(ROOT / "scripts", self.repository / "scripts")
        shutil.copytree(ROOT / "requirements", self.repository / "requirements")
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        for name in ("airflow", "jobs"):  # both environments are there already
            environment = self.repository / ".venv" / name
            environment.mkdir(parents=True)
            shutil.copy(ROOT / "requirements" / f"{name}.txt", environment / ".lock")
        self.sentence_encoder = self.repository / ".venv" / "jobs" / "models" / "all-minilm-l6-v2" / "model.onnx"
        self.sentence_encoder.parent.mkdir(parents=True)
        self.sentence_encoder.touch()

    def has(self, name: str, body: str, folder: Path | None = None) -> None:
        """Put a shell script of this name on the machine."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def has_java(self, version: str, folder: Path) -> Path:
        """A Java of this version whose home is `folder`."""
        self.has(
            "java",
            f'printf "    java.home = {folder}\\n    java.specification.version = {version}\\n" >&2',
            folder / "bin",
        )
        return folder

    def set_up(self, *names: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.repository / "scripts" / "setup.sh"), *names]
        variables = {"PATH": str(self.bin), "JVM_FOLDER": str(self.repository / "jvm")} | environment
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    @property
    def java(self) -> str:
        return os.readlink(self.repository / ".venv" / "java")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_java_home_is_taken_when_new_enough(machine: Machine, tmp_path: Path) -> None:
    home = machine.has_java("17", tmp_path / "jdk17")
    outcome = machine.set_up(JAVA_HOME=str(home))
    assert outcome.returncode == 0, outcome.stderr
    assert machine.java == str(home)


def test_an_old_java_home_is_passed_over_for_the_java_on_the_path(machine: Machine, tmp_path: Path) -> None:
    old, new = machine.has_java("1.8", tmp_path / "jdk8"), machine.has_java("21", tmp_path / "jdk21")
    (machine.bin / "java").symlink_to(new / "bin" / "java")
    assert machine.set_up(JAVA_HOME=str(old)).returncode == 0
    assert machine.java == str(new)


def test_without_java_and_apt_one_line_says_what_to_do(machine: Machine) -> None:
    outcome = machine.set_up()
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines() == [
        "error: Spark needs Java 17 or newer: install one (for example: apt install openjdk-17-jre-headless)"
        " or set JAVA_HOME to it"
    ]


def test_java_is_installed_where_apt_may(machine: Machine, tmp_path: Path) -> None:
    home = machine.repository / "jvm" / "java-17"
    machine.has_java("17", tmp_path / "debian")
    machine.has("id", "echo 0")
    machine.has(
        "apt-get",
        f'case "$*" in *openjdk-17-jre-headless*) mkdir -p {home} && cp -r {tmp_path}/debian/bin {home}/;; esac',
    )
    outcome = machine.set_up()
    assert outcome.returncode == 0, outcome.stderr
    assert "installing openjdk-17-jre-headless with apt" in outcome.stdout
    assert machine.java == str(tmp_path / "debian")


def test_a_sentence_encoder_that_is_missing_is_fetched(machine: Machine, tmp_path: Path) -> None:
    home = machine.has_java("17", tmp_path / "jdk17")
    machine.has("python", f'echo "$*" && touch {machine.sentence_encoder}', machine.repository / ".venv/jobs/bin")
    assert "fetch_jars" not in machine.set_up("jobs", JAVA_HOME=str(home)).stdout
    machine.sentence_encoder.unlink()
    outcome = machine.set_up("jobs", JAVA_HOME=str(home))
    assert outcome.returncode == 0 and "scripts/fetch_jars.py minilm" in outcome.stdout, outcome.stderr
    machine.sentence_encoder.unlink()
    machine.has("python", "exit 1", machine.repository / ".venv/jobs/bin")
    assert machine.set_up("jobs", JAVA_HOME=str(home)).returncode == 1


def test_a_second_run_does_nothing(machine: Machine, tmp_path: Path) -> None:
    home = machine.has_java("17", tmp_path / "jdk17")
    machine.set_up(JAVA_HOME=str(home))
    outcome = machine.set_up()
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


def test_without_a_suitable_python_one_line_says_what_to_do(machine: Machine, tmp_path: Path) -> None:
    home = machine.has_java("17", tmp_path / "jdk17")
    machine.has("python3", "exit 1")  # too old: the version check fails
    (machine.repository / ".venv" / "jobs" / ".lock").unlink()
    outcome = machine.set_up("jobs", JAVA_HOME=str(home))
    assert outcome.returncode == 1
    assert "no Python 3.11, 3.12 or 3.13 on PATH" in outcome.stderr


def test_an_unknown_environment_is_refused(machine: Machine) -> None:
    outcome = machine.set_up("production")
    assert outcome.returncode == 1
    assert outcome.stderr == "error: no environment called 'production': airflow or jobs\n"


def test_every_requirement_is_locked_with_its_hash() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        blocks = lock.read_text().replace("\\\n", " ").splitlines()
        bare = [block.split()[0] for block in blocks if block.strip() and "--hash=sha256:" not in block]
        assert bare == [], lock.name
        assert "://" not in lock.read_text(), "a lock names packages, not where they come from"
