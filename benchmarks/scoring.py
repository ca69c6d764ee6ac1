"""Both stages for every customer, from tables to a table; and the search in them beside faiss on its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from benchmarks.contest import ROOT, measure, publish
from benchmarks.features import AS_OF
from benchmarks.shop_files import generated

PREPARE = (
    "ingest.articles",
    "ingest.customers",
    "ingest.transactions",
    "features.customers",
    "features.articles",
    "features.interactions",
    "ranking.train",
)
#: A model of the right size is enough to time; two weeks to learn from, two epochs.
QUICKLY = {"ATELIER_TRAINING_WEEKS": "2", "ATELIER_MAX_EPOCHS": "2"}


def run(data: Path | None, scale: float, warehouse: Path | None, as_of: date = AS_OF) -> None:
    """Time the scoring of every customer with history, and the search of 65,536 of them.

    Args:
        data: folder with the retailer's files; None: generated for this run.
        scale: size of what is generated.
        warehouse: with features and a registered version of the as-of date; None: made for this run.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        if warehouse is None:
            warehouse = Path(folder, "warehouse")
            data = data or generated(Path(folder, "data"), scale)
            flags = [f"--as-of-date={as_of}", f"--data={data}", f"--warehouse={warehouse}"]
            for job in PREPARE:
                subprocess.run(
                    [sys.executable, "-m", f"jobs.{job}", *flags], env=os.environ | QUICKLY, check=True, cwd=ROOT
                )
        out = Path(folder, "results.json")
        command = [sys.executable, "-m", "benchmarks.scoring_atelier", str(warehouse), str(as_of), str(out)]
        results = {"score": measure([*command, "score"])}
        score = json.loads(out.read_text())
        results["search beside faiss"] = measure([*command, "search"])
        search = json.loads(out.read_text())
    note = (
        f"{score['outcome']} ({score['ranker']} ranks): nine candidate sources, exact search for the 100 nearest of"
        f" {search['articles']:,} articles among them, ranked, checked and committed to Delta, 30 rows each, reading of"
        f" the tables included. The search alone, {search['customers']:,} customers, medians of {search['turns']} turns"
        f" in one process: {search['search']:.2f} s as the job does it, {search['faiss']:.2f} s by faiss IndexFlatIP."
    )
    ratio = round(search["search"] / search["faiss"], 3)
    publish("scoring", "make bench-scoring", results, {"search/faiss IndexFlatIP": ratio}, note)
