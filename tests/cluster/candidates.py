"""Publishes a gold/candidates as ranking would, without a model: `python -m tests.cluster.candidates AS_OF WAREHOUSE`.

Every other customer has candidates, some fewer than are recommended, so that all fallbacks are used as well.
"""

from __future__ import annotations

import sys
from datetime import date
from itertools import cycle

import pyarrow as pa
from deltalake import DeltaTable

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.recommendations import CANDIDATES
from expectations.transactions import TRANSACTIONS
from jobs.platform import storage
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings

#: So many candidates have the customers that have any, in turn.
COUNTS = (12, 5)
SOURCES = ("two_tower", "same_product", "repurchase")


def candidates(warehouse: str, as_of: date) -> pa.Table:
    """Articles sold before the date, the same ones for the same warehouse."""

    def ids(table: str, column: str, before: date | None = None) -> list[str]:
        options = storage.storage_options(storage.normalized(warehouse))
        uri = f"{storage.normalized(warehouse)}/{table}"
        rows = DeltaTable(uri, storage_options=options).to_pyarrow_table(filters=before and [("t_dat", "<", before)])
        return sorted(rows[column].unique().to_pylist())

    customers, articles = ids(CUSTOMERS.path, "customer_id"), ids(TRANSACTIONS.path, "article_id", as_of)
    found = [
        {
            "as_of_date": as_of,
            "customer_id": customer,
            "rank": rank,
            "article_id": articles[(7 * number + 13 * rank) % len(articles)],
            "score": 1 / rank,
            "source": SOURCES[(number + rank) % len(SOURCES)],
            "model_version": "1",
            "run_id": "manual",
        }
        for number, (customer, count) in enumerate(zip(customers[::2], cycle(COUNTS), strict=False))
        for rank in range(1, count + 1)
    ]
    return pa.Table.from_pylist(found, arrow_schema(CANDIDATES))


def main(as_of: date, warehouse: str) -> None:
    job = Job(
        "ranking.candidates",
        Settings(as_of_date=as_of, warehouse=warehouse),
        reads=(ARTICLES, CUSTOMERS, TRANSACTIONS),
        writes=(CANDIDATES,),
    )
    print(f"{job.publish(CANDIDATES, candidates(warehouse, as_of), {'as_of_date': [as_of]}):,} candidates")


if __name__ == "__main__":
    main(date.fromisoformat(sys.argv[1]), sys.argv[2])
