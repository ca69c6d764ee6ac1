"""Pairs of articles bought together: the jobs' own counting beside other ways, which must find the same."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from subprocess import CalledProcessError

import numpy as np
import polars as pl

from benchmarks.contest import Result, measure, publish
from benchmarks.features import AS_OF
from benchmarks.shop_files import generated
from jobs.baskets.baskets import baskets_of

WEEKS = 12
#: Baskets that hold a pair: of all of them; and of SAMPLE baskets of the BEST_SELLING articles alone. More than these
#: mlxtend cannot hold, and FP-Growth, which does not stop at pairs, grows with two to the power of what baskets share.
MIN_COUNT, SAMPLE, BEST_SELLING, SAMPLE_COUNT = 5, 20_000, 300, 3
#: Seconds a contestant has.
LIMIT = 150
TIMED_OUT = 124
OWN = "atelier"
ALL = (OWN, "sparse product", "Spark self-join")
#: Before the names of those who get these.
FEW = f"{SAMPLE:,} baskets, "
SAMPLED = (OWN, "Spark FP-Growth", "mlxtend FP-Growth", "mlxtend Apriori")


def run(data: Path | None, scale: float) -> None:
    """Time every way in a process of its own, and publish the result; AssertionError where two do not agree.

    Args:
        data: folder with H&M-shaped files; None: generated for this run.
        scale: size of what is generated.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        data = data or generated(Path(folder, "data"), scale)
        lines = pl.scan_csv(data / "transactions*.csv", schema_overrides={"article_id": pl.String, "t_dat": pl.Date})
        since = AS_OF - timedelta(weeks=WEEKS)
        known = (
            lines.filter(pl.col("t_dat") >= since, pl.col("t_dat") < AS_OF)
            .select(
                pl.col("customer_id").rank("dense").cast(pl.Int32),
                pl.col("t_dat").cast(pl.Int32),
                pl.col("article_id").rank("dense").cast(pl.Int32) - 1,
            )
            .collect()
        )
        columns = [known[name].to_numpy() for name in known.columns]
        baskets = baskets_of(*columns, int(columns[2].max()) + 1, max_size=100)
        files = {}
        often = np.isin(baskets.item, np.argsort(-np.bincount(baskets.item))[:BEST_SELLING])
        held = np.bincount(baskets.basket[often], minlength=len(baskets))
        sample = often & np.isin(baskets.basket, np.flatnonzero(held > 1)[:SAMPLE])
        for name, chosen in (("all", slice(None)), ("sample", sample)):
            files[name] = Path(folder, f"{name}.parquet")
            kept, basket = np.unique(baskets.basket[chosen], return_inverse=True)
            rows = {"basket": basket.astype(np.int32), "item": baskets.item[chosen]}
            whose = {column: getattr(baskets, column)[kept][basket] for column in ("customer", "day")}
            pl.DataFrame(rows | whose).write_parquet(files[name])
        results = contest(files["all"], MIN_COUNT, ALL, "")
        results |= contest(files["sample"], SAMPLE_COUNT, SAMPLED, FEW)
    note = (
        f"Pairs in at least {MIN_COUNT} of {len(baskets):,} baskets of {WEEKS} weeks: {len(known):,} lines, of"
        f" {np.count_nonzero(np.bincount(baskets.item)):,} articles. mlxtend takes a table of baskets by articles, and"
        f" Spark's FP-Growth cannot stop at pairs, so they get {SAMPLE:,} baskets of the {BEST_SELLING} best"
        f" selling articles, and pairs in at least {SAMPLE_COUNT}. All find the same pairs in as many baskets; atelier"
        " alone counts customers and keeps the dates as well. Seconds and memory are of the whole process, start and"
        " reading included."
        f" A contestant has {LIMIT} seconds; who needs more is not in the table."
        " efficient-apriori and pyfim are not among the locked packages."
    )
    publish("baskets", "make bench-baskets", results, ratios(results), note)


def ratios(results: dict[str, Result]) -> dict[str, float]:
    """Our own seconds over those of each other way, on the same baskets."""
    own = {name: results[FEW + OWN if name.startswith(FEW) else OWN] for name in results}
    return {
        f"{OWN}/{name}": round(own[name].seconds / its.seconds, 3) for name, its in results.items() if its != own[name]
    }


def contest(file: Path, min_count: int, methods: Sequence[str], prefix: str) -> dict[str, Result]:
    """Method -> what it took; who took LIMIT is left out, and said."""
    results, summaries = {}, {}
    for method in methods:
        summary = file.with_suffix(".json")
        own = [sys.executable, "-m", "benchmarks.baskets_contestants", method, str(file), str(min_count), str(summary)]
        try:
            results[prefix + method] = measure(["timeout", str(LIMIT), *own])
        except CalledProcessError as error:
            if error.returncode != TIMED_OUT:
                raise
            print(f"{prefix}{method}: stopped after {LIMIT} s", flush=True)
            continue
        summaries[method] = json.loads(summary.read_text())
        print(f"{prefix}{method}: {summaries[method]} {results[prefix + method]}", flush=True)
    assert len({tuple(found) for found in summaries.values()}) == 1, f"the methods do not agree: {summaries}"
    return results
