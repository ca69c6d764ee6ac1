"""The files: schema, counts, keys, order, determinism, atomicity."""

import hashlib
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from sample_data.generate import PRESETS, Size, generate

ARTICLE_COLUMNS = (
    "article_id,product_code,prod_name,product_type_no,product_type_name,product_group_name,graphical_appearance_no,"
    "graphical_appearance_name,colour_group_code,colour_group_name,perceived_colour_value_id,"
    "perceived_colour_value_name,perceived_colour_master_id,perceived_colour_master_name,department_no,"
    "department_name,index_code,index_name,index_group_no,index_group_name,section_no,section_name,garment_group_no,"
    "garment_group_name,detail_desc"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny")
    generate(out, PRESETS["tiny"], seed=1, image_count=20)
    return out


def read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def digests(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_headers_are_those_of_the_real_files(tiny: Path) -> None:
    first_lines = {path.name: path.read_text().split("\n", 1)[0] for path in tiny.glob("*.csv")}
    assert first_lines == {
        "articles.csv": ARTICLE_COLUMNS,
        "customers.csv": "customer_id,FN,Active,club_member_status,fashion_news_frequency,age,postal_code",
        "transactions_train.csv": "t_dat,customer_id,article_id,price,sales_channel_id",
    }


def test_counts_are_exact(tiny: Path) -> None:
    sizes = [len(read(tiny / name)) for name in ("articles.csv", "customers.csv", "transactions_train.csv")]
    assert sizes == [150, 300, 12_000]
    assert Size.of_scale(1.0) == Size(articles=105_542, customers=1_371_980, lines=31_788_324)


@pytest.mark.parametrize(
    ("file", "column", "pattern"),
    [
        ("articles.csv", "article_id", r"0\d{9}"),
        ("articles.csv", "product_code", r"0\d{6}"),
        ("articles.csv", "colour_group_code", r"\d{2}"),
        ("customers.csv", "customer_id", r"[0-9a-f]{64}"),
        ("customers.csv", "FN", r"1\.0"),
        ("customers.csv", "Active", r"1\.0"),
        ("customers.csv", "age", r"\d{2}"),
        ("customers.csv", "postal_code", r"[0-9a-f]{64}"),
        ("transactions_train.csv", "t_dat", r"20(18|19|20)-\d{2}-\d{2}"),
        ("transactions_train.csv", "price", r"0\.\d+"),
        ("transactions_train.csv", "sales_channel_id", r"[12]"),
    ],
)
def test_fields_look_like_the_real_ones(tiny: Path, file: str, column: str, pattern: str) -> None:
    values = read(tiny / file)[column].drop_nulls()
    assert [value for value in values if not re.fullmatch(pattern, value)] == []


def test_keys(tiny: Path) -> None:
    articles, customers = read(tiny / "articles.csv"), read(tiny / "customers.csv")
    lines = read(tiny / "transactions_train.csv")
    assert articles["article_id"].is_unique().all() and articles["article_id"].is_sorted()
    assert customers["customer_id"].is_unique().all() and customers["customer_id"].is_sorted()
    assert (articles["article_id"].str.head(7) == articles["product_code"]).all()
    assert set(lines["article_id"]) <= set(articles["article_id"])
    assert set(lines["customer_id"]) < set(customers["customer_id"])  # some never bought


def test_lines_are_in_order_over_two_years(tiny: Path) -> None:
    day = read(tiny / "transactions_train.csv")["t_dat"]
    assert day.is_sorted()
    assert "2018-09-20" <= day[0] < "2018-09-27"
    assert "2020-09-15" < day[-1] <= "2020-09-22"


def test_price_is_cents_over_590_euros(tiny: Path) -> None:
    cents = read(tiny / "transactions_train.csv")["price"].cast(pl.Float64) * 59_000
    assert (cents - cents.round()).abs().max() < 1e-6
    assert (cents.round() % 100 == 99).mean() > 0.8


def test_description_says_garment_and_colour(tiny: Path) -> None:
    described = read(tiny / "articles.csv").drop_nulls("detail_desc")
    for garment, colour, text in described.select("product_type_name", "colour_group_name", "detail_desc").iter_rows():
        assert garment in text and colour.lower() in text


def test_same_seed_same_bytes_other_seed_other_bytes(tiny: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", PRESETS["tiny"], seed=1, image_count=20)
    generate(tmp_path / "other", PRESETS["tiny"], seed=2, image_count=0)
    assert digests(tmp_path / "again") == digests(tiny)
    mine, other = digests(tiny), digests(tmp_path / "other")
    assert all(other[name] != mine[name] for name in ("articles.csv", "customers.csv", "transactions_train.csv"))


def test_killed_generation_leaves_no_half_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sample_data", "generate", "--scale", "0.05", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
    part = tmp_path / ".transactions_train.csv.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 1_000_000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [part.name]
    generate(tmp_path, PRESETS["tiny"], seed=1, image_count=0)
    assert {path.name for path in tmp_path.iterdir()} == {"articles.csv", "customers.csv", "transactions_train.csv"}


def test_a_sample_of_customers_shops_in_the_whole_catalogue(tmp_path: Path) -> None:
    size = Size.of_scale(0.01, sample=60)
    assert size == Size(articles=1_055, customers=60, lines=1_390, shop_lines=317_883)
    generate(tmp_path, size, seed=1, image_count=0)
    counts = [len(read(tmp_path / name)) for name in ("articles.csv", "customers.csv", "transactions_train.csv")]
    assert counts == [1_055, 60, 1_390]
    with pytest.raises(ValueError, match="has 13,720 customers: no sample of 13,721"):
        Size.of_scale(0.01, sample=13_721)


def test_which_articles_have_pictures_does_not_depend_on_what_sells(tmp_path: Path) -> None:
    """A picture that says what sold later would be looking ahead: other sales of the same catalogue, same pictures."""
    few, many = (Size(articles=1_055, customers=60, lines=lines, shop_lines=317_883) for lines in (600, 1_390))
    for name, size in (("few", few), ("many", many)):
        assert generate(tmp_path / name, size, seed=1, image_count=40).images > 35
    drawn = {name: {path.stem for path in (tmp_path / name).rglob("*.jpg")} for name in ("few", "many")}
    sold = {name: set(read(tmp_path / name / "transactions_train.csv")["article_id"]) for name in drawn}
    assert drawn["few"] == drawn["many"] and sold["few"] != sold["many"]
    assert drawn["many"] - sold["many"], "articles without a purchase have pictures, too"
    assert drawn["many"] <= set(read(tmp_path / "many" / "articles.csv")["article_id"][-40:])
