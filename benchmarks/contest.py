"""Times commands in processes of their own and writes the result where people and programs look for it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Result:
    """Wall seconds, processor seconds and peak resident memory of one contestant."""

    seconds: float
    cpu_seconds: float
    peak_memory_mib: float


def measure(command: Sequence[str]) -> Result:
    """Run `command` pinned to one core; raises CalledProcessError when it fails."""
    core = min(os.sched_getaffinity(0))
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    cpu = usage.ru_utime + usage.ru_stime
    return Result(round(seconds, 2), round(cpu, 2), round(usage.ru_maxrss / 1024, 1))


def publish(name: str, results: Mapping[str, Result], first: str, note: str) -> None:
    """Write the results as JSON, and as a table on the page; ratios are of `first` to each other contestant."""
    ratios = {
        f"{first}/{peer}": round(results[first].seconds / r.seconds, 3) for peer, r in results.items() if peer != first
    }
    RESULTS.mkdir(exist_ok=True)
    record = {"contestants": {k: asdict(v) for k, v in results.items()}, "ratios": ratios, "note": note}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    rows = [f"| {k} | {v.seconds} | {v.cpu_seconds} | {v.peak_memory_mib:.0f} |" for k, v in results.items()]
    section = [
        f"## {name}", "", note, "", f"Machine: {machine}. Command: `{' '.join(['make bench', *sys.argv[1:]])}`.", "",
        "| contestant | seconds | processor seconds | peak MiB |", "|---|---|---|---|", *rows, "",
        *(f"{pair}: {ratio} x" for pair, ratio in ratios.items()), "",
    ]  # fmt: skip
    text = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n\nWritten by `make bench`.\n\n"
    start = text.find(f"## {name}\n")
    if start >= 0:
        end = text.find("\n## ", start + 1)
        text = text[:start] + (text[end + 1 :] if end >= 0 else "")
    PAGE.write_text(text.rstrip() + "\n\n" + "\n".join(section))
    print("\n".join(section))
