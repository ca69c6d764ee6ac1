"""Starts the tests' S3 (serve.py) in a process of its own, and says how to get there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "object_store" / "bin" / "python"
BUCKET = "atelier"


@dataclass(frozen=True)
class ObjectStore:
    """A server that runs.

    Attributes:
        url: its endpoint.
    """

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which every library gets there."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        """Make it the S3 of this process and of those that it starts from here on."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in self.environment.items():
            patch.setenv(name, value)

    def make_bucket(self, name: str) -> None:
        self._send("PUT", name)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Meanwhile it takes no credentials: it has no user."""
        self._send("POST", "moto-api/reset-auth", b"0")
        try:
            yield
        finally:
            self._send("POST", "moto-api/reset-auth", b"inf")

    def _send(self, method: str, path: str, body: bytes = b"") -> None:
        request = Request(f"{self.url}/{path}", data=body, method=method, headers={"Content-Type": "text/plain"})
        with urlopen(request, timeout=30):
            pass


@contextmanager
def serving() -> Iterator[ObjectStore]:
    """A server with the empty bucket `BUCKET` on a free port of this machine; it ends with the block."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON.relative_to(ROOT)} is missing: run scripts/setup.sh object_store")
    command = [str(PYTHON), str(Path(__file__).with_name("serve.py"))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        try:
            port = process.stdout.readline().strip()
            assert port.isdigit(), "the server did not start; see its words above"
            store = ObjectStore(f"http://127.0.0.1:{port}")
            store.make_bucket(BUCKET)
            yield store
        finally:
            process.stdin.close()  # which ends it
