"""Sample data: lines a second on one core, beside a peer that writes meaningless lines of the same shape."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.contest import measure, publish

FULL_SIZE = 31_788_324

#: What it costs to write such a file at all: uniformly random customers, articles and days, no behaviour.
PEER = """
import sys
from pathlib import Path
import numpy as np, polars as pl
lines, path = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
customers = pl.Series([f"{i:064x}" for i in range(lines // 23)])
articles = pl.Series([f"0{i:09d}" for i in range(max(lines // 301, 1))])
days = pl.Series(np.sort(rng.integers(17794, 18527, lines).astype(np.int32))).cast(pl.Date)
with Path(path).open("wb") as file:
    for start in range(0, lines, 500_000):
        n = min(500_000, lines - start)
        pl.DataFrame({
            "t_dat": days[start : start + n],
            "customer_id": customers.gather(rng.integers(0, len(customers), n)),
            "article_id": articles.gather(rng.integers(0, len(articles), n)),
            "price": rng.integers(1, 60, n) / 590,
            "sales_channel_id": rng.integers(1, 3, n),
        }).write_csv(file, include_header=start == 0)
"""


def run(lines: int) -> None:
    """Time generator and peer on `lines` transaction lines and publish the result."""
    with tempfile.TemporaryDirectory() as folder:
        scale = str(lines / FULL_SIZE)
        generate = [
            "-m",
            "sample_data",
            "generate",
            "--scale",
            scale,
            "--images",
            "none",
            "--event-days",
            "0",
            "--out",
            folder,
        ]
        results = {
            "atelier": measure([sys.executable, *generate], cores=1),
            "random lines (Polars)": measure(
                [sys.executable, "-c", PEER, str(lines), str(Path(folder) / "peer.csv")], cores=1
            ),
        }
    rate = lines / results["atelier"].seconds
    note = f"{lines:,} transaction lines with catalogue and customers: {rate:,.0f} lines a second, start-up included."
    publish("sample_data", "make bench", results, "atelier", note)
