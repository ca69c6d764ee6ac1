"""Pages of the shop window at full size: time from when they are due, memory, start; beside scanned Delta tables.

The shop has one core, whoever asks has another; the pages are asked for at a fixed rate, whether or not earlier ones
are there yet, so that what waits counts as late.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_plus

import numpy as np

from benchmarks import shop_warehouse
from benchmarks.contest import RESULTS, ROOT, family, machine, write_section
from benchmarks.search_contestants import QUERY_WORDS

RATE, SECONDS, WARM_UP_SECONDS = 30, 60, 10
#: Accounts that ask, articles that are asked for, questions to the search, lookups of the peer.
ACCOUNTS, ARTICLES, QUESTIONS, LOOKUPS = 200, 2_000, 100, 20
PORT = 8017
#: What pages take at most, by the requirements: milliseconds, MiB and seconds.
LIMITS = {"pages": 100, "search": 150, "memory": 1024, "start": 5}


def run(articles: int, customers: int) -> None:
    """Make the warehouse, measure, write the section."""
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=ROOT) as folder:
        root = Path(folder)
        shop_warehouse.write(root / "warehouse", articles, customers)
        shop_warehouse.write_text_vectors(root / "warehouse", articles)
        figures = measured(root, articles, customers)
        figures["scan"] = _percentiles(_scans(root / "warehouse", articles, customers))
    RESULTS.mkdir(exist_ok=True)
    record = {"articles": articles, "customers": customers, **figures}
    (RESULTS / "shop.json").write_text(json.dumps(record, indent=1) + "\n")
    write_section("shop", section(figures, articles, customers))


def measured(root: Path, articles: int, customers: int) -> dict[str, dict[str, float]]:
    """The figures of the shop by what was measured."""
    ids, cookies = shop_warehouse.article_ids(articles), []
    rng = random.Random(0)
    whose = rng.sample(shop_warehouse.customer_ids(customers), min(ACCOUNTS, customers))
    environment = _environment(root)
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.shop_accounts", *whose],
        env=environment, cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    cookies = made.stdout.split()
    pages = [
        *((f"/article/{rng.choice(ids)}/", rng.choice(cookies)) for _ in range(ARTICLES)),
        *(("/for-you/", rng.choice(cookies)) for _ in range(ARTICLES)),
    ]
    rng.shuffle(pages)
    with _server(environment) as (pid, started):
        found: dict[str, dict[str, float]] = {"start": {"seconds": started}}
        load(pages, WARM_UP_SECONDS)
        times = load(pages, SECONDS)
        for name, beginning in (("article", "/article/"), ("for_you", "/for-you/")):
            found[name] = _percentiles([t for path, t in times if path.startswith(beginning)])
        found["memory"] = {"mib": family(pid)[1] / 1024}
        found["no_table"] = _percentiles([t for _, t in load([("/account/login/", "")], SECONDS // 4)])
        found["search"] = _search()
        found["search_memory"] = {"mib": family(pid)[1] / 1024}
    return found


def load(pages: Sequence[tuple[str, str]], seconds: float) -> list[tuple[str, float]]:
    """Ask for pages at the rate for so long: path and seconds of each from when it was due. Raises on any error."""
    local = threading.local()

    def one(number: int, due: float) -> tuple[str, float]:
        path, cookie = pages[number % len(pages)]
        time.sleep(max(0.0, due - time.perf_counter()))
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        local.connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        answer = local.connection.getresponse()
        content = answer.read()
        if answer.status != 200 or (cookie and b'class="card"' not in content):
            raise RuntimeError(f"{path}: {answer.status}, {len(content)} bytes")
        return path, time.perf_counter() - due

    begin = time.perf_counter() + 0.5
    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(one, *zip(*((n, begin + n / RATE) for n in range(int(seconds * RATE))), strict=True)))


def _search() -> dict[str, float]:
    """Questions one after the other, once the search is up; milliseconds."""
    rng = random.Random(1)

    def ask() -> tuple[float, bytes]:
        words = quote_plus(" ".join(rng.sample(QUERY_WORDS, rng.randint(2, 5))))
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        began = time.perf_counter()
        connection.request("GET", f"/search/?q={words}")
        content = connection.getresponse().read()
        return time.perf_counter() - began, content

    until = time.monotonic() + 180
    while b'class="notice"' in ask()[1]:
        if time.monotonic() > until:
            raise RuntimeError("the search did not come up; see finder.log")
        time.sleep(1)
    return _percentiles([ask()[0] for _ in range(QUESTIONS)])


def _scans(warehouse: Path, articles: int, customers: int) -> list[float]:
    """The peer: the look-ups of one customer's page, by deltalake alone."""
    import pyarrow.compute as pc
    from deltalake import DeltaTable

    whose = random.Random(2).sample(shop_warehouse.customer_ids(customers), LOOKUPS)
    times = []
    for customer in whose:
        began = time.perf_counter()
        picks = DeltaTable(str(warehouse / "gold/recommendations")).to_pyarrow_dataset()
        rows = picks.to_table(filter=pc.field("customer_id") == customer, columns=["article_id", "rank", "reason"])
        catalogue = DeltaTable(str(warehouse / "silver/articles")).to_pyarrow_dataset()
        found = catalogue.to_table(
            filter=pc.field("article_id").isin(rows["article_id"].to_pylist()), columns=["article_id", "prod_name"]
        )
        times.append(time.perf_counter() - began)
        assert len(rows) == shop_warehouse.PICKS and len(found) == shop_warehouse.PICKS
    return times


def _environment(root: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "ATELIER_WAREHOUSE": str(root / "warehouse"),
        "ATELIER_DATA": str(root / "data"),
        "ATELIER_SHOP_HOME": str(root / "home"),
        "ATELIER_SHOP_EVENTS": str(root / "events"),
        "ATELIER_SHOP_BIND": f"127.0.0.1:{PORT}",
        "DJANGO_SETTINGS_MODULE": "app.config.settings",
    }


@contextmanager
def _server(environment: dict[str, str]) -> Iterator[tuple[int, float]]:
    """The shop on the first core while this process takes the others: its pid, and the seconds to its first page."""
    cores = sorted(os.sched_getaffinity(0))
    others = set(cores[1:]) or {cores[0]}
    began = time.perf_counter()
    pin: Callable[[], None] = lambda: os.sched_setaffinity(0, {cores[0]})  # noqa: E731
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "app"], env=environment, cwd=ROOT, stdout=log, stderr=log, preexec_fn=pin
        )
        try:
            os.sched_setaffinity(0, others)
            _wait(server)
            yield server.pid, time.perf_counter() - began
        finally:
            os.sched_setaffinity(0, cores)
            server.terminate()
            server.wait(30)


def _wait(server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the shop did not start")


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95 of 100 and the longest, in milliseconds."""
    found = np.percentile(seconds, (50, 95, 100)) * 1000
    return {"count": len(seconds)} | {
        f"{name}_ms": round(float(value), 1) for name, value in zip(("median", "p95", "longest"), found, strict=True)
    }


def section(figures: dict[str, dict[str, float]], articles: int, customers: int) -> list[str]:
    """The section's lines."""
    names = {
        "article": "an article's page, signed in",
        "for_you": "*For you*",
        "no_table": "the shop's page that reads no table (sign in)",
        "search": "search by words, one question after the other",
        "scan": "peer: the look-ups of *For you* alone, tables opened and filtered by deltalake, all cores",
    }
    rows = [
        f"| {text} | {of['count']:.0f} | {of['median_ms']:.0f} | {of['p95_ms']:.0f} | {of['longest_ms']:.0f} |"
        for name, text in names.items()
        if (of := figures[name])
    ]
    return [
        f"{articles:,} articles, {customers:,} customers with {shop_warehouse.PICKS} picks each, made up. The shop has"
        f" one core; half of {RATE} pages a second are articles, half *For you*, {ACCOUNTS} accounts, {SECONDS} s."
        " Times are from when a page was due to its last byte.",
        "",
        f"Machine: {machine()}. Command: `make bench-shop`.",
        "",
        "| page | asked | median ms | 95 of 100 within ms | longest ms |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"From the start to the first page {figures['start']['seconds']:.1f} s. Resident memory of all its processes"
        f" {figures['memory']['mib']:.0f} MiB after the pages, and {figures['search_memory']['mib']:.0f} MiB with the"
        " process that searches by words, which starts with the first question.",
        f"Required: pages {LIMITS['pages']} ms, search {LIMITS['search']} ms, {LIMITS['memory']} MiB,"
        f" {LIMITS['start']} s.",
        "",
    ]
