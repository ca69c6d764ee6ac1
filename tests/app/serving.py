"""The shop as `make shop` serves it, for tests that talk to it from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.app.people import PASSWORD

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Served:
    """A shop that runs: its address, its folder, the data folder that its events go to, the server's process."""

    url: str
    home: Path
    data: Path
    server: subprocess.Popen[bytes]
    environment: dict[str, str]

    @property
    def log(self) -> str:
        return (self.data / "server.log").read_text()

    def command(self, *arguments: str) -> None:
        """One of Django's commands, in this shop."""
        command = [sys.executable, "-m", "app", *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True)


@contextmanager
def serving(retailer: Path, data: Path, **settings: str) -> Iterator[Served]:
    """A shop over the retailer's tables, with a folder and events of its own."""
    port = _free_port()
    environment = os.environ | {
        "ATELIER_WAREHOUSE": str(retailer / "warehouse"),
        "ATELIER_DATA": str(retailer / "data"),
        "ATELIER_SHOP_HOME": str(data / "home"),
        "ATELIER_SHOP_EVENTS": str(data / "events"),
        "ATELIER_SHOP_BIND": f"127.0.0.1:{port}",
        "ATELIER_SHOP_HOSTS": "127.0.0.1",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        **settings,
    }
    (data / "home").mkdir(parents=True)
    with (data / "server.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "app"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    served = Served(f"http://127.0.0.1:{port}", data / "home", data, server, environment)
    try:
        _wait(served)
        yield served
    finally:
        server.terminate()
        server.wait(30)


def _wait(served: Served) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{served.url}/health", timeout=5) as answer:
                assert json.load(answer)["status"] == "ok"
            return
        except OSError:
            assert served.server.poll() is None and time.monotonic() < deadline, served.log
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
