"""The server's processes: what they logged survives their end, however it comes, and their measurements add up."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.app.conftest import ARTICLE_IDS
from tests.app.serving import Served, serving


def look(served: Served, article_id: str) -> str | None:
    """The visitor that the page's view is of; None where there was no answer."""
    try:
        with urllib.request.urlopen(f"{served.url}/article/{article_id}/", timeout=10) as answer:
            cookies = answer.headers.get_all("Set-Cookie")
    except OSError:
        return None
    return next(cookie for cookie in cookies if cookie.startswith("visitor=")).split("=")[1].split(":")[0]


def workers(served: Served) -> list[int]:
    pid = served.server.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def viewers(data: Path) -> set[str]:
    files = (data / "events").glob("shop_*.jsonl")
    events = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {event["visitor_id"] for event in events if event["event"] == "view"}


def test_nothing_is_lost_but_a_killed_processs_last_second(retailer: Path, tmp_path: Path) -> None:
    with serving(retailer, tmp_path, ATELIER_SHOP_WORKERS="2") as served:
        with ThreadPoolExecutor(8) as pool:
            before = list(pool.map(lambda n: look(served, ARTICLE_IDS[n % 20]), range(60)))
            assert all(before)
            time.sleep(1.1)
            first, _ = workers(served)
            os.kill(first, signal.SIGKILL)
            during = list(pool.map(lambda n: look(served, ARTICLE_IDS[n % 20]), range(60)))
        assert sum(one is not None for one in during) >= 50  # the other one goes on
        deadline = time.monotonic() + 20
        while len(workers(served)) < 2 or first in workers(served):  # a new one in its place
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(10)  # it is there, and has still to start
        text = urllib.request.urlopen(f"{served.url}/metrics").read().decode()
        served.server.send_signal(signal.SIGTERM)
        assert served.server.wait(20) == 0
    wanted = {one for one in (*before, *during) if one}
    # What the killed one left is published by the one in its place, at its start; asked to stop, both publish the rest.
    assert viewers(tmp_path) >= wanted
    assert not list((tmp_path / "events").glob(".shop_*.open"))
    logged = [json.loads(line) for line in served.log.splitlines() if line.startswith("{")]
    assert {line["view"] for line in logged if line["message"] == "request"} == {"catalog:article"}
    answered = [
        line for line in text.splitlines() if line.startswith("shop_request_seconds_count") and "article" in line
    ]
    assert sum(float(line.split()[-1]) for line in answered) >= len(wanted)  # of all processes, the killed one's too


@pytest.mark.parametrize(
    ("name", "said"),
    [("ATELIER_SHOP_WEEK", "soon"), ("ATELIER_SHOP_EVENT_SECONDS", "-1"), ("ATELIER_SHOP_MAIL_URL", "x")],
)
def test_a_setting_that_means_nothing_is_named(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from app.config import environment

    monkeypatch.setenv(name, said)
    readers = {
        "ATELIER_SHOP_WEEK": lambda: environment.day(name),
        "ATELIER_SHOP_EVENT_SECONDS": lambda: environment.number(name, 300),
        "ATELIER_SHOP_MAIL_URL": lambda: environment.mail(Path("/nowhere")),
    }
    with pytest.raises(ImproperlyConfigured, match=name):
        readers[name]()
