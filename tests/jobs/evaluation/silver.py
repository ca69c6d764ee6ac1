"""A small warehouse: purchases by day, customer and article code as silver tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.transactions import TRANSACTIONS
from jobs.platform.schemas import arrow_schema
from jobs.platform.warehouse import Warehouse
from tests.jobs.retrieval.small import on

_VALUES = {"string": "x", "boolean": False, "int": 1, "double": 0.5, "date": on(0)}


def put(
    warehouse: Path,
    contract: Contract,
    rows: Sequence[dict],
    replace: dict | None = None,
    *,
    accept_drift: bool = False,
) -> None:
    """Publish rows; a column that is not given is null where it may be, else any value."""
    anything = {c.name: None if c.nullable else _VALUES.get(c.type) for c in contract.columns}
    table = pa.Table.from_pylist([anything | row for row in rows], schema=arrow_schema(contract))
    Warehouse(str(warehouse), {}, accept_drift=accept_drift).publish_arrow(contract, table, replace or {})


def put_purchases(warehouse: Path, rows: Sequence[tuple[int, int, int]], customers: int, articles: int) -> None:
    """Silver tables that load as `tests.jobs.retrieval.small.purchases(rows, customers, articles)`."""
    put(warehouse, CUSTOMERS, [{"customer_id": f"c{i}", "customer_key": i} for i in range(customers)])
    put(
        warehouse,
        ARTICLES,
        [{"article_id": f"a{i:02d}", "article_key": i, "prod_name": f"Shirt {i}"} for i in range(articles)],
    )
    bought = [
        {"t_dat": on(day), "customer_id": f"c{c}", "customer_key": c, "article_id": f"a{a:02d}", "article_key": a}
        for day, c, a in rows
    ]
    put(warehouse, TRANSACTIONS, bought)
