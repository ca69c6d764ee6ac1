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
from tests.jobs.ingest.events.shop_log import take_in

LIMIT = 200  # so many of a bot's views come before it is known as one


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
    assert len(bots) == truth["bots"] * (VIEWS_OF_A_BOT - LIMIT)
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
    data = sample / "app_log"
    take_in(spark, data, event_mapping="twentytoo", max_quarantine_share=0.2)
    events, bots, files = (table(data, contract) for contract in (EVENTS, BOT_EVENTS, EVENT_FILES))
    people = events.filter(~pl.col("visitor_id").str.starts_with("bot"))
    assert len(people) == truth["events"] and len(bots) == truth["bots"] * (VIEWS_OF_A_BOT - LIMIT)
    assert truth["bot_events"] == truth["bots"] * VIEWS_OF_A_BOT == len(bots) + len(events) - len(people) > 0
    assert files["duplicate_count"].sum() == truth["duplicates"] > 0
    assert files["left_out_count"].sum() == truth["left_out"] and files["refused_count"].sum() == truth["broken"]
    assert events["article_id"].str.contains("^0{22}[0-9]{10}$").all()
    take_in(spark, data, products, event_mapping="twentytoo", max_quarantine_share=0.5)
    prices, values = table(data, PRODUCT_PRICES), table(data, ARTICLE_ATTRIBUTES)
    assert len(prices) == truth["prices"] and set(prices["article_id"]) >= set(events["article_id"].head(5))
    assert prices["valid_to_date"].null_count() == prices.filter(~pl.col("is_original")).height == truth["prices"] // 2
    names = dict(values["name"].value_counts().iter_rows())
    assert names == {
        "_id": 150, "sku": 150, "CM_product_measurements": 150, "Clothing-Color": 300,
    }  # fmt: skip
    refused = table(data, QUARANTINE).filter(pl.col("table_name") == PRODUCT_PRICES.name)
    assert len(refused) == truth["broken_price_lists"] > 0
    assert refused["reason"].unique().to_list() == ["prices unreadable: '__import__' is no literal"]
    assert "nothing to do" in take_in(spark, data, products, event_mapping="twentytoo")
