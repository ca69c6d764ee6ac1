"""Conformance on a data set of seven lines, whose "published" facts are counted by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from jobs.evaluation import conformance
from jobs.evaluation.conformance import Published, compare, own_last_week
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.jobs.evaluation.silver import put_purchases
from tests.jobs.retrieval.small import purchases

CUSTOMERS = [letter * 64 for letter in "abcd"]
ARTICLES = [f"010877500{i}" for i in range(6)]
# Ann's last week of purchases is 08-27 to 09-02, so 1 (two units) and 2, not 3; Bob's is the week before the last.
LINES = [
    ("2020-08-20", 0, 3), ("2020-09-01", 0, 1), ("2020-09-01", 0, 1), ("2020-09-02", 0, 2), ("2020-09-14", 1, 4),
    ("2020-09-16", 0, 2), ("2020-09-18", 1, 1), ("2020-09-22", 2, 4), ("2020-09-22", 2, 4),
]  # fmt: skip
KNOWN = Published(
    articles=6,
    customers=4,
    transactions=9,
    first_day=date(2020, 8, 20),
    last_day=date(2020, 9, 22),
    no_description=2,
    known_article=(ARTICLES[0], "Strap top"),
    known_customer=CUSTOMERS[3],
    customers_who_bought=3,
    articles_sold=4,
    week_lines=4,
    week_buyers=3,
    week_articles=3,
    week_baskets=3,
    # Best sellers of the 7 days before: 4, then 1, 2, 3 by units ever. Own: Ann has 1, 2; Bob 4; Cleo nothing.
    map_at_12={"popularity_7d": (1 / 3 + 1 / 2 + 1) / 3, "own_last_week_purchases": (1 / 2 + 0 + 0) / 3},
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    descriptions = ["", '"two\nlines, ""quoted"""', "Plain", "", "Plain", "Plain"]
    names = ["Strap top", "b", "c", "d", "e", "f"]
    rows = [f"{a},{n},{d}" for a, n, d in zip(ARTICLES, names, descriptions, strict=True)]
    (tmp_path / "articles.csv").write_text("\n".join(["article_id,prod_name,detail_desc", *rows]) + "\n")
    (tmp_path / "customers.csv").write_text("\n".join(["customer_id,age", *(f"{c},30" for c in CUSTOMERS)]) + "\n")
    lines = [f"{day},{CUSTOMERS[c]},{ARTICLES[a]},0.0169,2" for day, c, a in LINES]
    head = "t_dat,customer_id,article_id,price,sales_channel_id"
    (tmp_path / "transactions_train.csv").write_text("\n".join([head, *lines]) + "\n")
    return tmp_path


def said(data: Path, known: Published, warehouse: Path | None = None) -> str:
    settings = Settings(as_of_date=date(2020, 9, 23), data=data, warehouse=str(warehouse or data / "warehouse"))
    return compare(Job("evaluation.conformance", settings, conformance.READS, conformance.WRITES), known)


def test_everything_as_published(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(data, KNOWN) == "applies, and all 8 lines are as published"
    lines = capsys.readouterr().out.splitlines()
    assert "ok  buyers of that week: 3 (published 3)" in lines
    assert "ok  MAP@12 of own_last_week_purchases: 0.1667 (published 0.1667, may differ by 15%)" in lines
    assert "ok  MAP@12 of popularity_7d: 0.6111 (published 0.6111, may differ by 15%)" in lines
    assert "--  MAP@12 of own_purchases_of_the_week_before: 0.0000 (nothing published)" in lines
    assert "--  silver/transactions: not taken in yet" in lines


@pytest.mark.parametrize(
    ("change", "off"),
    [
        ({"week_buyers": 4}, "buyers of that week"),
        ({"week_baskets": 4}, "baskets of that week"),
        ({"customers_who_bought": 4}, "customers who bought"),
        ({"map_at_12": {"popularity_7d": 11 / 18 / 1.16}}, "MAP@12 of popularity_7d"),
        ({"map_at_12": {"own_last_week_purchases": 1 / 6 / 0.84}}, "MAP@12 of own_last_week_purchases"),
    ],
)
def test_what_is_off_is_named(data: Path, change: dict, off: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(JobError, match=rf"1 of \d lines are off: {off}"):
        said(data, replace(KNOWN, **change))
    assert f"OFF {off}" in capsys.readouterr().out


def test_a_figure_within_its_band_is_ok(data: Path) -> None:
    within = {"popularity_7d": 11 / 18 / 1.14, "own_last_week_purchases": 1 / 6 / 0.86}
    assert said(data, replace(KNOWN, map_at_12=within)).startswith("applies")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"articles": 7}, "articles.csv: 6 articles, not 7"),
        ({"customers": 5}, "customers.csv: 4 customers, not 5"),
        ({"transactions": 8}, "transactions_train.csv: 9 lines, not 8"),
        ({"last_day": date(2020, 9, 21)}, "from 2020-08-20 to 2020-09-22, not from 2020-08-20 to 2020-09-21"),
        # Generated files of the same size: same counts and days, other facts.
        ({"no_description": 3}, "articles.csv: 2 articles without description, not 3"),
        ({"known_article": (ARTICLES[1], "Strap top")}, f"article {ARTICLES[1]} is b, not Strap top"),
        ({"known_article": ("0999999999", "Strap top")}, "article 0999999999 is not there, not Strap top"),
        ({"known_customer": "e" * 64}, "customers.csv: no customer eeeeeeeeeeee..."),
    ],
)
def test_other_data_are_told_why_it_does_not_apply(data: Path, change: dict, why: str) -> None:
    answer = said(data, replace(KNOWN, **change))
    assert answer.startswith(f"does not apply: {data} is not the complete H&M data (")
    assert why in answer


def test_silver_tables_are_counted_where_they_are(data: Path, tmp_path: Path) -> None:
    rows = [(0, 0, 0)] * 9
    put_purchases(tmp_path / "full", rows, customers=4, articles=6)
    assert said(data, KNOWN, tmp_path / "full") == "applies, and all 11 lines are as published"
    put_purchases(tmp_path / "short", rows[1:], customers=4, articles=6)
    with pytest.raises(JobError, match="1 of 11 lines are off: silver/transactions"):
        said(data, KNOWN, tmp_path / "short")


def test_a_missing_file_or_column_is_named(data: Path) -> None:
    (data / "transactions_train.csv").write_text("t_dat,customer_id\n2020-09-01,x\n")
    with pytest.raises(JobError, match=r"transactions_train\.csv: .*article_id"):
        said(data, KNOWN)
    (data / "customers.csv").unlink()
    with pytest.raises(JobError, match=r"customers\.csv: No such file .*--data is the folder"):
        said(data, KNOWN)


def test_own_last_week_is_ordered_by_units_then_by_day() -> None:
    rows = [(9, 0, 5), (13, 0, 1), (14, 0, 2), (14, 0, 4), (15, 0, 3), (16, 0, 3), (16, 0, 0), (3, 1, 2), (9, 1, 6)]
    history = purchases([*rows, (9, 1, 6)], customers=3, articles=7)
    ranked = own_last_week(history, np.array([1, 0, 2], dtype=np.int32), 6)
    # Customer 0: days 10 to 16, so not 5; 3 has two units; then 0 (day 16), 2 and 4 (14), 1 (13).
    # Customer 1: days 3 to 9.
    assert ranked.tolist() == [[6, 2, -1, -1, -1, -1], [3, 0, 2, 4, 1, -1], [-1] * 6]
