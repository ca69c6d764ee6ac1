"""Times commands in processes of their own and writes the result where people and programs look for it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from threading import Event, Thread

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results" / "benchmarks.md"
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Result:
    """Wall seconds, processor seconds and peak resident memory of one contestant, all its processes together."""

    seconds: float
    cpu_seconds: float
    peak_memory_mib: float


def measure(command: Sequence[str], cores: int | None = None) -> Result:
    """Run `command` on the first `cores` cores (None: all); raises CalledProcessError when it fails."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": str(len(allowed))},
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    ended, peaks, busy = Event(), [0], {}
    watcher = Thread(target=_watch, args=(process.pid, ended, peaks, busy))
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    ended.set()
    watcher.join()
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    # A Spark driver is a child that nobody waits for: the system counts it to nobody, so what was seen of it is taken.
    cpu = max(usage.ru_utime + usage.ru_stime, sum(busy.values()))
    return Result(round(seconds, 2), round(cpu, 2), round(max(usage.ru_maxrss, *peaks) / 1024, 1))


def _watch(root: int, ended: Event, peaks: list[int], busy: dict[int, float]) -> None:
    """Note the resident KiB of `root` and all its descendants together, and each one's processor seconds, until it has
    ended."""
    while not ended.wait(0.2):
        pids, resident = family(root)
        peaks.append(resident)
        busy |= {pid: seconds for pid in pids if (seconds := _processor_seconds(pid)) is not None}


def family(root: int) -> tuple[set[int], int]:
    """A process and all its descendants, and their resident KiB together."""
    parents, resident = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:  # ended meanwhile
            continue
        pid = int(fields["Pid"])
        parents[pid], resident[pid] = int(fields["PPid"]), int(fields.get("VmRSS", "0 kB").split()[0])
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return found, sum(resident.get(pid, 0) for pid in found)


def _processor_seconds(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:  # ended meanwhile
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def medians(turns: Mapping[str, Sequence[Result]]) -> dict[str, Result]:
    """Of each contestant the medians of its turns."""
    return {
        name: Result(*(round(median(column), 2) for column in zip(*map(astuple, of), strict=True)))
        for name, of in turns.items()
    }


def shares(turns: Mapping[str, Sequence[Result]], kinds: Iterable[str], ways: tuple[str, str]) -> dict[str, float]:
    """What the second way's speed is of the first's: the median of the turns, by clock and by processor.

    Args:
        turns: by "<kind>, <way>".
    """
    figures = {}
    for kind, what in product(kinds, ("seconds", "cpu_seconds")):
        both = zip(*(turns[f"{kind}, {way}"] for way in ways), strict=True)
        figures[f"{kind}, {'/'.join(ways)}, {what.replace('_', ' ')}"] = round(
            median(getattr(one, what) / getattr(other, what) for one, other in both), 3
        )
    return figures


def machine() -> str:
    """The machine in words."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def publish(
    name: str, command: str, results: Mapping[str, Result], first: str | Mapping[str, float], note: str
) -> None:
    """Write the results as JSON, and as a table on the page.

    Args:
        first: the contestant whose seconds are compared with each other one's; or the ratios themselves.
    """
    ratios = first
    if isinstance(first, str):
        ratios = {
            f"{first}/{k}": round(results[first].seconds / r.seconds, 3) for k, r in results.items() if k != first
        }
    RESULTS.mkdir(exist_ok=True)
    record = {"contestants": {k: asdict(v) for k, v in results.items()}, "ratios": ratios, "note": note}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    rows = [f"| {k} | {v.seconds} | {v.cpu_seconds} | {v.peak_memory_mib:.0f} |" for k, v in results.items()]
    section = [
        note, "", f"Machine: {machine()}. Command: `{command}`.", "",
        "| contestant | seconds | processor seconds | peak MiB |", "|---|---|---|---|", *rows, "",
        *(f"{pair}: {ratio} x" for pair, ratio in ratios.items()), "",
    ]  # fmt: skip
    write_section(name, section)


def write_section(name: str, lines: Sequence[str]) -> None:
    """Put the lines under the heading `name` of the page, in place of what was there; print them."""
    section = [f"## {name}", "", *lines]
    text = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n\nWritten by `make bench`.\n\n"
    start = text.find(f"## {name}\n")
    if start >= 0:
        end = text.find("\n## ", start + 1)
        text = text[:start] + (text[end + 1 :] if end >= 0 else "")
    PAGE.write_text(text.rstrip() + "\n\n" + "\n".join(section))
    print("\n".join(section))
