"""Business metrics of two years of purchases beside DuckDB, and of one further week."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from benchmarks.contest import ROOT, measure, publish
from benchmarks.shop_files import generated, read
from benchmarks.standalone import flags
from expectations.business import BUSINESS_METRICS

AS_OF = date(2020, 9, 23)
JOBS = ("ingest.articles", "ingest.customers", "ingest.transactions")
#: Of each week: what both have, as SQL over DuckDB's counts.
COMPARED = """
    SELECT week, 'active_customers' AS metric, sum(active)::DOUBLE AS value FROM read_parquet('{out}/customers.parquet')
    GROUP BY week
    UNION ALL SELECT week, 'revenue', sum(revenue) FROM read_parquet('{out}/customers.parquet') GROUP BY week
    UNION ALL SELECT week, 'baskets', sum(baskets) FROM read_parquet('{out}/customers.parquet') GROUP BY week
    UNION ALL SELECT week, 'won_back_customers', sum(won_back) FROM read_parquet('{out}/customers.parquet')
    GROUP BY week
    UNION ALL SELECT week, 'churned_customers', sum(churned) FROM read_parquet('{out}/churn.parquet') GROUP BY week
    UNION ALL SELECT week, 'articles_sold', sum(articles_sold) FROM read_parquet('{out}/departments.parquet')
    GROUP BY week
    UNION ALL SELECT week, 'discount_depth', 1 - sum(revenue) / sum(at_highest)
    FROM read_parquet('{out}/departments.parquet') GROUP BY week
"""


def run(data: Path | None, scale: float) -> None:
    """Time the job's first run, the next week's, and DuckDB's queries, and publish the result.

    Args:
        data: folder with the retailer's files; None: generated for this run.
        scale: size of what is generated.

    Raises:
        RuntimeError: a figure differs from DuckDB's.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        work = Path(folder)
        files, root = data or generated(work / "data", scale), work / "warehouse"
        for name in JOBS:
            command = [sys.executable, "-m", f"jobs.{name}", *flags(name, str(AS_OF), files, root)]
            subprocess.run(command, cwd=ROOT, check=True)
        read(root)
        ours = [sys.executable, "-m", "benchmarks.reports_atelier", str(root)]
        theirs = [sys.executable, "-m", "benchmarks.reports_duckdb", str(root), str(work / "out"), str(AS_OF)]
        results = {
            "atelier, all weeks": measure([*ours, str(AS_OF - timedelta(weeks=1))]),
            "atelier, the next week": measure([*ours, str(AS_OF)]),
            "duckdb, all weeks": measure(theirs),
        }
        lines = DeltaTable(str(root / "silver" / "transactions")).count()
        agreement = _compared(root, work / "out")
    note = (
        f"{lines:,} transaction lines in silver tables. Atelier computes all business metrics, customer segments and"
        " descriptive statistics, checks every row and commits to Delta: first those of every week, then of the next"
        " one, for which it reads the lines of the last half year and the totals of older ones. DuckDB counts most of"
        f" it from the same Parquet files, checks nothing and writes Parquet. {agreement}"
    )
    publish("reports", f"make bench-reports SCALE={scale}", results, "atelier, all weeks", note)


def _compared(root: Path, out: Path) -> str:
    """How many figures of ours are DuckDB's; raises RuntimeError where one is not."""
    metrics = DeltaTable(str(root / BUSINESS_METRICS.path)).to_pyarrow_dataset()  # noqa: F841, named in the query
    query = f"""
        SELECT count(*), count(*) FILTER (abs(a.value - b.value) > 1e-6 * greatest(abs(b.value), 1e-3))
        FROM metrics a JOIN ({COMPARED.format(out=out)}) b
            ON b.metric = a.metric AND a.as_of_date = DATE '{AS_OF}' - (7 * b.week)::INTEGER
        WHERE a.segment_type = 'all'
    """  # noqa: S608
    total, differing = duckdb.sql(query).fetchall()[0]
    if differing or not total:
        raise RuntimeError(f"{differing:,} of {total:,} figures differ from DuckDB's")
    return f"All {total:,} figures that both have agree."
