"""The event log's files: whole, once, and nothing lost of what a killed process had written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.events import writer as module
from app.events.writer import EventWriter, adopt

ROOT = Path(__file__).resolve().parents[2]
#: Hands events over, as many a second as it can, and says how many it has.
BUSY = """
import sys, time
from pathlib import Path
from app.events.writer import EventWriter
writer, n = EventWriter(Path(sys.argv[1]), 300), 0
while True:
    writer.put([{"event_id": f"{sys.argv[2]}-{n}", "event": "view", "article_id": "a"}])
    n += 1
    print(n, flush=True)
    time.sleep(0.001)
"""


def event(number: int, name: str = "e") -> dict[str, object]:
    return {"event_id": f"{name}{number}", "event": "view", "article_id": "ä\n1"}


def ids(folder: Path) -> list[str]:
    """The published events, as the ingest would see them."""
    lines = [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return [json.loads(line)["event_id"] for line in lines]


def hidden(folder: Path) -> list[Path]:
    return sorted(folder.glob(".shop_*"))


def wait_for(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def test_events_of_threads_are_published_whole_and_once(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path, 300)
    threads = [
        threading.Thread(target=lambda name=name: [writer.put([event(n, name)]) for n in range(200)]) for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert sorted(ids(tmp_path)) == sorted(f"{name}{n}" for name in "abcd" for n in range(200))
    assert len(list(tmp_path.glob("*.jsonl"))) == 1 and not hidden(tmp_path)
    writer.put([event(1, "later")])
    writer.close()
    assert "later1" in ids(tmp_path)


def test_a_file_is_published_at_its_age_without_another_event(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path, 0.3)
    writer.put([event(1)])
    wait_for(lambda: hidden(tmp_path))
    assert not list(tmp_path.glob("*.jsonl"))
    wait_for(lambda: ids(tmp_path) == ["e1"])
    writer.put([event(2)])
    wait_for(lambda: sorted(ids(tmp_path)) == ["e1", "e2"])
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    writer.close()


def test_a_large_file_is_published_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    writer = EventWriter(tmp_path, 300)
    writer.put([event(1)])
    wait_for(lambda: ids(tmp_path) == ["e1"])
    writer.close()


def busy(folder: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUSY, str(folder), name], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> int:
    """How many events it has handed over by its own word, up to its end."""
    assert process.stdout is not None
    return int(process.stdout.read().split()[-1])


def test_killed_processes_lose_nothing_but_what_was_on_its_way(tmp_path: Path) -> None:
    """Two at once; what SIGKILL leaves is hidden, somebody else's file is not touched, then all of it is published."""
    processes = [busy(tmp_path, name) for name in ("one", "two")]
    wait_for(lambda: len(hidden(tmp_path)) == 2)
    time.sleep(0.5)
    assert adopt(tmp_path) == []  # both are alive
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    handed = [said(process) for process in processes]
    assert not list(tmp_path.glob("*.jsonl"))
    half = hidden(tmp_path)[0]
    with half.open("ab") as file:
        file.write(b'{"event_id": "cut sho')
    assert len(adopt(tmp_path)) == 2 and not hidden(tmp_path)
    found = ids(tmp_path)
    for name, count in zip(("one", "two"), handed, strict=True):
        own = [text for text in found if text.startswith(name)]
        assert own == [f"{name}-{n}" for n in range(len(own))]
        assert count - len(own) <= 1_000 * 0.25  # a thousand a second: a quarter of a second at most
    assert adopt(tmp_path) == []


def test_a_process_that_is_asked_to_stop_loses_nothing(tmp_path: Path) -> None:
    code = BUSY.replace("while True", "import signal\nsignal.signal(15, lambda *_: sys.exit(0))\nwhile True")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), "one"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: hidden(tmp_path))
    process.terminate()
    process.wait(10)
    assert len(ids(tmp_path)) >= said(process) and not hidden(tmp_path)


def test_an_empty_file_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".shop_x.jsonl.open").touch()
    (tmp_path / ".other.jsonl.open").touch()
    assert adopt(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.jsonl.open"]


def test_a_child_process_holds_no_lock_of_its_parent(tmp_path: Path) -> None:
    """Else nobody could take over the parent's file after it was killed; and it writes files of its own."""
    code = """
import os, sys, time
from pathlib import Path
from app.events.writer import EventWriter
writer = EventWriter(Path(sys.argv[1]), 300)
def put(name):
    writer.put([{"event_id": name, "event": "view"}])
    while writer._file is None:
        time.sleep(0.01)
put("parent")
if os.fork():
    time.sleep(60)
put("child")
print(os.getpid(), flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    try:
        assert len(adopt(tmp_path)) == 1 and ids(tmp_path) == ["parent"]
    finally:
        os.kill(child, signal.SIGKILL)
    wait_for(lambda: adopt(tmp_path))
    assert sorted(ids(tmp_path)) == ["child", "parent"]


def test_a_full_disk_stops_no_page_and_loses_nothing_that_fits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EventWriter(tmp_path / "events", 300)
    writer.put([event(1)])
    wait_for(lambda: hidden(tmp_path / "events"))
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if writer._file is not None and fd == writer._file._fd:
            real(fd, bytes(data[:5]))  # as a disk does: some of it, then no more
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(module.os, "write", full)
    began = time.monotonic()
    for n in range(2, 500):
        writer.put([event(n)])
    assert time.monotonic() - began < 0.5
    wait_for(lambda: writer.error)
    assert "No space" in writer.error
    monkeypatch.setattr(module.os, "write", real)
    wait_for(lambda: writer.error is None)
    writer.close()
    adopt(tmp_path / "events")
    assert sorted(ids(tmp_path / "events")) == sorted(f"e{n}" for n in range(1, 500))


def test_what_is_no_json_is_left_out_alone(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path, 300)
    writer.put([event(1), {**event(2), "price": float("nan")}, {**event(3), "list": "\ud800"}, event(4)])
    writer.close()
    assert ids(tmp_path) == ["e1", "e4"]


def test_more_than_can_wait_is_lost_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    writer = EventWriter(tmp_path, 300)
    writer._thread = threading.current_thread()  # nobody takes anything
    lost = module.metrics.EVENTS_LOST._value.get()
    for n in range(10):
        writer.put([event(n)])
    assert writer.waiting == 3 and module.metrics.EVENTS_LOST._value.get() == lost + 7
    writer._reset()
