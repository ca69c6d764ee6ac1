"""A lock that one process holds, and the error that another one gets."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.platform.code import ROOT
from jobs.platform.errors import JobError
from jobs.platform.locks import only_run

HOLDS = """
import sys, time
from pathlib import Path
from jobs.platform.locks import only_run
with only_run(Path(sys.argv[1]), "m of today is trained", "the other"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_also_after_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "locks" / "train"
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    said = r"^m of today is trained at this moment \(run the other\): this run leaves it to that one$"
    with pytest.raises(JobError, match=said), only_run(file, "m of today is trained", "mine"):
        pass
    other.send_signal(signal.SIGKILL)
    other.communicate()
    with only_run(file, "m of today is trained", "mine"):
        assert file.read_text() == "mine"
