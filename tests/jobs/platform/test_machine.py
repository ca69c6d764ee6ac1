"""What a machine lacks is made up for: a short temporary folder, a user's name, a host's address, a locale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from jobs.platform import machine
from jobs.platform.code import ROOT

#: Starts Python's helper processes as the image jobs do, and says who runs it.
STARTS_PROCESSES = """
import getpass, multiprocessing
from pathlib import Path
from jobs.platform import machine
if __name__ == "__main__":
    machine.prepare()
    process = multiprocessing.get_context("forkserver").Process(target=print, args=("started",))
    process.start(); process.join()
    print(getpass.getuser(), Path.home())
"""

#: As another host, without a name for the user, and with a locale of ASCII.
POOR = "hostname nowhere-in-hosts && exec unshare --user --map-user=54321 env -i LC_ALL=C"

WRITES_A_TABLE = """
import sys
from jobs.platform import machine
machine.prepare()
from jobs.platform.spark import spark_session
spark = spark_session()
spark.range(3).write.format("delta").save(sys.argv[1])
print(spark.sparkContext.sparkUser(), spark.read.format("delta").load(sys.argv[1]).count())
spark.stop()
"""


@pytest.fixture(scope="module")
def poor() -> list[str]:
    """What comes before a command to run it so."""
    start = ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c", f'{POOR} "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*start, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    return start


def python(*command: str, before: list[str], **environment: str) -> str:
    given = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    given |= {"PYTHONPATH": str(ROOT)} | environment
    words = [f"{name}={value}" for name, value in given.items()]
    line = [*before, *words, sys.executable, *command]
    outcome = subprocess.run(line, capture_output=True, check=False, cwd=ROOT, encoding="utf-8")
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_processes_start_below_a_long_temporary_folder_and_without_a_name(poor, tmp_path):
    script, deep = tmp_path / "script.py", tmp_path / ("deep" * 30)
    deep.mkdir()
    script.write_text(STARTS_PROCESSES)
    said = python(str(script), before=poor, TMPDIR=str(deep)).split("\n")
    assert said[:2] == ["started", f"uid54321 {deep}"]


def test_spark_starts_without_address_name_and_locale(poor, tmp_path):
    table = tmp_path / "Größe Läden" / "50%"
    assert python("-c", WRITES_A_TABLE, str(table), before=poor).split() == ["uid54321", "3"]
    assert (table / "_delta_log").is_dir()


def test_local_addresses_go_past_a_proxy():
    environment = {"no_proxy": "intern, localhost", "NO_PROXY": "other"}
    machine.bypass_proxy(environment)
    assert environment == dict.fromkeys(["no_proxy", "NO_PROXY"], "intern,localhost,other,127.0.0.1,::1")


def test_a_process_that_takes_names_for_ascii_starts_again_in_utf_8(tmp_path):
    script = "from jobs.platform import machine; machine.prepare(); import os, sys; print(os.listdir(sys.argv[1]))"
    (tmp_path / "Größe").mkdir()
    given = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert python("-c", script, str(tmp_path), before=["env"], **given) == "['Größe']\n"
