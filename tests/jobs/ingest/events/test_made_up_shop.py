"""The sample's log, cleaned, is what it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from expectations.events import ARTICLE_ATTRIBUTES, BOT_EVENTS, EVENT_FILES, EVENTS, PRODUCT_PRICES
from expectations.transactions import QUARANTINE
from jobs.ingest import products
from sample_data.events import BOT_EVENTS as VIEWS_OF_A_BOT
from sample_data.generate import PRESETS, generate
from tests.jobs.ingest.events.shop_log import rows, take_in


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    generate(out, PRESETS["tiny"], seed=3, image_count=0, event_days=4)
    return out


def table(data: Path, contract) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    return pl.DataFrame(pl.from_arrow(DeltaTable(str(data / "warehouse" / contract.path)).to_pyarrow_table()))


def test_atelier_shape(spark: SparkSession, sample: Path) -> None:
    truth = json.loads((sample / "events" / "truth.json").read_text())
    take_in(spark, sample)
    events, bots, files = (table(sample, contract) for contract in (EVENTS, BOT_EVENTS, EVENT_FILES))
    limit = 200  # of a bot's views so many come before it is known as one
    assert len(bots) == truth["bots"] * (VIEWS_OF_A_BOT - limit)
    people = events.filter(~pl.col("visitor_id").str.starts_with("bot"))
    assert len(people) == truth["events"] and people["event_id"].is_unique().all()
    assert files["duplicate_count"].sum() == truth["duplicates"]
    assert files["refused_count"].sum() == truth["broken"] == len(table(sample, QUARANTINE))
    late = people.with_columns(pl.col("source_file").str.extract(r"_(.*)\.", 1).str.to_date().alias("of"))
    assert late.filter(pl.col("of") != pl.col("event_date"))["event_id"].len() == truth["late"] > 0
    bought = people.filter(pl.col("event_type") == "purchase")
    assert len(bought) == truth["purchases"] and bought["customer_id"].null_count() == 0
    lines = pl.read_csv(sample / "transactions_train.csv", infer_schema=False)
    online = lines.filter(pl.col("sales_channel_id") == "2", pl.col("t_dat") >= "2020-09-19")
    assert sorted(bought.select("customer_id", "article_id").rows()) == sorted(
        online.select("customer_id", "article_id").rows()
    )


def test_the_apps_shape(spark: SparkSession, sample: Path) -> None:
    truth = json.loads((sample / "app_log" / "truth.json").read_text())
    attack, good = "open('/tmp/x','w')", "[{'value': 18.0, 'currency': 'USD', 'is_original': True}]"
    pl.DataFrame(
        {
            "product_id": ["a" * 32, f'ObjectId("{"b" * 24}")', "c" * 32],
            "prices": [good, "[{'value': 3}, {'value': 2, 'valid_to': '2023/01/02'}]", attack],
            "attributes": ["{'sku': 1, 'Clothing-Color': ['red', 'blue']}", "{}", None],
        }
    ).write_csv(sample / "app_log" / "products.csv")
    data = sample / "app_log"
    take_in(spark, data, event_mapping="twentytoo", max_quarantine_share=0.2)
    files = table(data, EVENT_FILES)
    assert (files["event_count"] - files["duplicate_count"]).sum() == len(table(data, EVENTS)) == truth["events"]
    assert files["left_out_count"].sum() == truth["left_out"] and files["refused_count"].sum() == truth["broken"]
    assert table(data, EVENTS)["article_id"].str.contains("^0{22}[0-9]{10}$").all()
    take_in(spark, data, products, event_mapping="twentytoo", max_quarantine_share=0.5)
    assert rows(data, PRODUCT_PRICES, "article_id", "price", "source_line") == [
        ("a" * 32, 18.0, 2),
        ("b" * 24, 2.0, 3),
        ("b" * 24, 3.0, 3),
    ]
    assert rows(data, ARTICLE_ATTRIBUTES, "name", "value") == [
        ("Clothing-Color", "blue"),
        ("Clothing-Color", "red"),
        ("sku", "1"),
    ]
    refused = table(data, QUARANTINE).filter(pl.col("table_name") == PRODUCT_PRICES.name)
    assert refused.select("source_line").rows() == [(4,)] and not Path("/tmp/x").exists()
    assert "nothing to do" in take_in(spark, data, products, event_mapping="twentytoo")
