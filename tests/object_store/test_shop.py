"""The shop window reads tables of an object store as it reads a folder's."""

from __future__ import annotations

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from app.tables.store import Source, Tables
from expectations.recommendations import RECOMMENDATIONS
from jobs.platform import storage
from jobs.platform.schemas import arrow_schema, delta_schema
from tests.app.conftest import CUSTOMER_IDS, PICKS, WEEK, recommendations


def test_picks_are_looked_up_in_the_store(location: str) -> None:
    uri, options = f"{location}/{RECOMMENDATIONS.path}", storage.storage_options(location)
    DeltaTable.create(uri, delta_schema(RECOMMENDATIONS), partition_by=["as_of_date"], storage_options=options)
    rows = pa.Table.from_pylist(recommendations(WEEK), arrow_schema(RECOMMENDATIONS))
    write_deltalake(uri, rows, mode="append", storage_options=options)
    reading = Tables(location).reading()
    found = reading.query(
        "SELECT * FROM @picks WHERE customer_id = $customer ORDER BY rank",
        {"picks": Source(RECOMMENDATIONS, ("customer_id", "rank", "article_id"))},
        {"customer": CUSTOMER_IDS[2]},
    )
    assert [row["rank"] for row in found] == list(range(1, PICKS + 1))
    assert reading.snapshot(RECOMMENDATIONS).as_of_date == WEEK
