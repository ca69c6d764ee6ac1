"""Alternating least squares by Spark MLlib beside `implicit`: the same purchases, rank, iterations and alpha."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.contest import ROOT, measure, publish
from benchmarks.features import AS_OF
from benchmarks.shop_files import generated
from jobs.recommenders import als, als_spark
from jobs.recommenders.factors import FACTORS

SYSTEMS = {"implicit": "als", "Spark MLlib": "als_spark"}
PREPARE = ("ingest.articles", "ingest.customers", "ingest.transactions")


def run(data: Path | None, scale: float) -> None:
    """Time both from silver tables to the picks for who bought in the held-out last week, and publish the result.

    Args:
        data: folder with H&M-shaped files; None: generated for this run.
        scale: size of what is generated.
    """
    results, measured = {}, {}
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        warehouse, file = Path(folder, "warehouse"), Path(folder, "results.json")
        data = data or generated(Path(folder, "data"), scale)
        for job in PREPARE:
            flags = [f"--as-of-date={AS_OF}", f"--data={data}", f"--warehouse={warehouse}"]
            subprocess.run([sys.executable, "-m", f"jobs.{job}", *flags], check=True, cwd=ROOT)
        for name, system in SYSTEMS.items():
            command = [sys.executable, "-m", "benchmarks.collaborative_contestants", str(warehouse), system, str(file)]
            results[name] = measure(command)
            measured[name] = json.loads(file.read_text())
            print(f"{name}: {measured[name]}", flush=True)
    facts = measured["implicit"]
    said = "; ".join(
        f"{name}: fit {t['fit']:.1f} s, picks {t['picks']:.1f} s, recall@100 {t['recall']:.4f}"
        for name, t in measured.items()
    )
    note = (
        f"{facts['units']:,} units of {facts['customers']:,} customers and {facts['articles']:,} articles before"
        f" the last week, {facts['buyers']:,} buyers in it. Rank {FACTORS}, {als.ITERATIONS} iterations, alpha"
        f" {als.ALPHA:g}; regularisation {als.REGULARISATION:g}, which MLlib takes for each article of a customer:"
        f" {als_spark.REGULARISATION:g}. {said}. Seconds and memory below are of the whole process, its start, Java and"
        " the reading of the tables included; Spark on all cores of one machine."
    )
    publish("collaborative", "make bench-collaborative", results, "Spark MLlib", note)
