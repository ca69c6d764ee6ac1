"""OTTO's sessions, where the machine has them: who has a taste from the first click on, and on orders alone."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from jobs.ingest.events.mapping import load_log_mapping
from jobs.ingest.events.reading import json_frame
from jobs.ingest.events.transform import transform
from jobs.platform.codes import NO_ARTICLE
from jobs.recommenders.interactions import shoppers
from jobs.recommenders.user_based import met_by_neighbours
from jobs.retrieval.purchases import Purchases, encode
from tests.conftest import SHARED_DATA

OTTO = SHARED_DATA / "otto" / "train.jsonl"
AS_OF = date(2022, 8, 29)


@pytest.mark.skipif(not OTTO.exists(), reason="OTTO's sample of sessions is not on this machine")
def test_every_session_has_a_taste_from_its_first_click_on() -> None:
    log = load_log_mapping("otto").events
    events = transform(json_frame(OTTO.read_bytes() + b"\n", 1, tuple(log.source_columns), log.records), log).events
    rows = events.with_columns(customer_id=pl.lit(None, pl.String)).sort("event_date")
    orders = rows.filter(pl.col("event_type") == "purchase")
    sessions, articles = (pa.array(sorted(rows[name].unique().to_list())) for name in ("visitor_id", "article_id"))
    history = Purchases(
        orders["event_date"].to_physical().to_numpy(),
        encode(pa.chunked_array([orders["visitor_id"].to_arrow().cast(pa.string())]), sessions, "customer"),
        encode(pa.chunked_array([orders["article_id"].to_arrow().cast(pa.string())]), articles, "article"),
        customer_ids=sessions,
        article_ids=articles,
    )
    table = rows.with_columns(customer_id="visitor_id").to_arrow()
    table = table.cast(
        pa.schema([f.with_type(pa.string()) if f.type == pa.large_string() else f for f in table.schema])
    )
    found = {}
    for name, log_rows in (("orders alone", table.slice(0, 0)), ("all events", table)):
        met = shoppers(history, log_rows, AS_OF)
        everyone = np.arange(len(sessions), dtype=np.int32)
        picks = met_by_neighbours(met, history, AS_OF, 12).of(everyone).articles
        found[name] = int((np.diff(met.weight.indptr) > 0).sum()), int((picks[:, 0] != NO_ARTICLE).sum())
    print(found)
    assert found["all events"][0] == len(sessions) == 20
    assert found["orders alone"][0] < 10
    assert found["all events"][1] >= found["orders alone"][1]
