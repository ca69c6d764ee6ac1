"""The demo's sample behaves like the real data: moments within bands, tastes that can be learnt."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from sample_data import transactions
from sample_data.generate import PRESETS, Size, generate
from sample_data.moments import MOMENTS
from sample_data.report import measure, report_table

BANDS = {
    "Ladieswear": (0.34, 0.42),
    "Garment Upper body": (0.37, 0.44),
    "Solid": (0.44, 0.51),
    "Black": (0.19, 0.24),
    "ACTIVE": (0.90, 0.94),
    "age (mean, sd)": (35, 37.5),
    "online": (0.67, 0.75),
    "lines identical to another": (0.07, 0.14),
    "basket lines (mean)": (3.3, 3.9),
    "pairs bought again on another day": (0.025, 0.075),
    "articles also sold in the 30 days before": (0.86, 0.97),
    "buyers also seen in the 30 days before": (0.38, 0.58),
    "buyers without history": (0.02, 0.12),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    generate(out, PRESETS["demo"], seed=20200916, image_count=0)
    return out


@pytest.fixture(scope="module")
def moments(demo: Path) -> dict[str, tuple[float, ...]]:
    return measure(demo)


@pytest.mark.parametrize("name", BANDS)
def test_moment_is_near_the_real_one(moments: dict[str, tuple[float, ...]], name: str) -> None:
    low, high = BANDS[name]
    assert low <= moments[name][0] <= high


def test_quantiles(moments: dict[str, tuple[float, ...]]) -> None:
    assert moments["basket lines (quartiles)"] == (1, 2, 4)
    assert moments["price (50 75 90 99 %)"] == pytest.approx((0.0254, 0.0339, 0.0508, 0.0915), rel=0.2)
    assert moments["gap in days (10 25 50 75 90 %)"] == pytest.approx((2, 7, 22, 57, 125), rel=0.25)


def test_what_has_no_mark_does_not_depend_on_the_size(moments: dict[str, tuple[float, ...]], tmp_path: Path) -> None:
    """A small shop as a whole beside some customers of a large one, in which an article sells little."""
    generate(tmp_path, Size.of_scale(0.2, sample=1_500), seed=1, image_count=0)
    sparse = measure(tmp_path)
    for moment in (moment for some in MOMENTS.values() for moment in some if not moment.scales):
        if moment.name not in ("detail_desc empty", "age empty"):  # a handful of rows
            assert moments[moment.name] == pytest.approx(sparse[moment.name], rel=0.6), moment.name


def test_a_sample_behaves_like_as_many_customers_of_the_whole_shop(tmp_path: Path) -> None:
    customers = 1_364
    generate(tmp_path / "whole", Size.of_scale(0.05), seed=1, image_count=0)
    generate(tmp_path / "sample", Size.of_scale(0.05, customers), seed=1, image_count=0)
    (some := tmp_path / "some").mkdir()
    (some / "articles.csv").symlink_to(tmp_path / "whole" / "articles.csv")
    chosen = pl.read_csv(tmp_path / "whole" / "customers.csv", infer_schema=False).sample(customers, seed=1)
    chosen.write_csv(some / "customers.csv")
    lines = pl.read_csv(tmp_path / "whole" / "transactions_train.csv", infer_schema=False)
    lines.join(chosen, on="customer_id", how="semi", maintain_order="left").write_csv(some / "transactions_train.csv")
    expected, found = measure(some), measure(tmp_path / "sample")
    names = (
        "lines per customer",
        "basket lines (mean)",
        "lines identical to another",
        "pairs bought again on another day",
        "lines of the top 100",
        "days from first to last sale (quartiles)",
    )
    assert {name: found[name][-1] for name in names} == pytest.approx(
        {name: expected[name][-1] for name in names}, rel=0.15
    )


def test_report_has_a_row_per_moment(demo: Path, moments: dict[str, tuple[float, ...]]) -> None:
    table = report_table(demo)
    assert table.row_count == len(moments) + len(MOMENTS)
    real = dict(zip(table.columns[0].cells, table.columns[2].cells, strict=True))
    assert real["  buyers *"] == "68,984"
    assert real["  online"] == "0.71 \u2020", "counted on a sample of the real customers"


def test_baselines_score_as_they_do_when_computed_otherwise(demo: Path, moments: dict[str, tuple[float, ...]]) -> None:
    lines = lines_and_sections(demo)
    start = lines["t_dat"].max() - timedelta(days=6)
    before, week = lines.filter(pl.col("t_dat") < start), lines.filter(pl.col("t_dat") >= start)
    sold = before.filter(pl.col("t_dat") >= start - timedelta(days=7)).group_by("article_id").len()
    popular = sold.sort(-pl.col("len").cast(pl.Int64), "article_id")["article_id"].to_list()
    owned = before.group_by("customer_id", "article_id").agg(
        pl.col("t_dat").max().alias("last"), pl.len().alias("units")
    )
    owned = owned.sort("last", "units", "article_id", descending=[True, True, False])
    own = dict(owned.group_by("customer_id", maintain_order=True).agg("article_id").iter_rows())
    is_last = pl.col("t_dat") > pl.col("t_dat").max().over("customer_id") - timedelta(days=7)
    latest = before.filter(is_last).group_by("customer_id", "article_id").agg(pl.len(), pl.col("t_dat").max())
    latest = latest.sort("len", "t_dat", "article_id", descending=[True, True, False])
    of_last_week = dict(latest.group_by("customer_id", maintain_order=True).agg("article_id").iter_rows())
    bought = {c: set(a) for c, a in week.group_by("customer_id").agg("article_id").iter_rows()}

    def map_at_12(lists: Callable[[str], list[str]]) -> float:
        total = 0.0
        for customer, articles in bought.items():
            listed = list(dict.fromkeys(lists(customer)))[:12]
            hits = [place for place, article in enumerate(listed, 1) if article in articles]
            total += sum(n / place for n, place in enumerate(hits, 1)) / min(len(articles), 12)
        return total / len(bought)

    expected = {
        "MAP@12 of the best sellers of 7 days": map_at_12(lambda _: popular),
        "MAP@12 of own purchases": map_at_12(lambda c: own.get(c, [])),
        "MAP@12 of own, then best sellers": map_at_12(lambda c: own.get(c, [])[:12] + popular),
        "MAP@12 of own purchases, last week with any": map_at_12(lambda c: of_last_week.get(c, [])),
    }
    assert {name: moments[name][0] for name in expected} == pytest.approx(expected)
    known = {(c, a): last for c, a, last, _ in owned.iter_rows()}
    pairs = [(c, a) for c, articles in bought.items() for a in articles]
    again = sum(known.get(pair, date.min) >= start - timedelta(days=30) for pair in pairs) / len(pairs)
    assert moments["bought again within 30 days"][0] == pytest.approx(again)


def lines_and_sections(demo: Path) -> pl.DataFrame:
    types = {"article_id": pl.String}
    articles = pl.read_csv(demo / "articles.csv", schema_overrides=types)
    lines = pl.read_csv(demo / "transactions_train.csv", schema_overrides=types, try_parse_dates=True)
    return lines.join(articles.select("article_id", "section_no", "product_type_name"), on="article_id")


def hits_per_buyer(week: pl.DataFrame, picks: pl.DataFrame) -> float:
    """Mean number of a buyer's 12 picks bought in the week; `picks` has customer_id and article_id."""
    bought = week.select("customer_id", "article_id").unique()
    return len(bought.join(picks, on=["customer_id", "article_id"])) / week["customer_id"].n_unique()


@pytest.mark.parametrize("as_of_date", [date(2020, 9, 9), date(2020, 9, 16)])
def test_favourite_sections_beat_popularity_and_own_purchases(demo: Path, as_of_date: date) -> None:
    lines = lines_and_sections(demo)
    past = lines.filter(pl.col("t_dat") < as_of_date)
    week = lines.filter(pl.col("t_dat").is_between(as_of_date, as_of_date + timedelta(days=6)))
    buyers = week.select("customer_id").unique()
    recent = past.filter(pl.col("t_dat") >= as_of_date - timedelta(days=7))
    sold = recent.group_by("article_id", "section_no").len("sold").sort("sold", "article_id", descending=True)
    popular = buyers.join(sold.head(12).select("article_id"), how="cross")
    own = past.sort("t_dat", descending=True).unique(["customer_id", "article_id"], keep="first", maintain_order=True)
    own = own.group_by("customer_id", maintain_order=True).head(12)
    visits = past.group_by("customer_id", "section_no").len("visits")
    personal = buyers.join(visits, on="customer_id").join(sold, on="section_no")
    personal = personal.with_columns(score=pl.col("visits") * pl.col("sold")).sort(
        "score", "article_id", descending=True
    )
    personal = personal.group_by("customer_id", maintain_order=True).head(12)
    scores = [hits_per_buyer(week, picks) for picks in (popular, own, personal)]
    assert scores[2] > 1.3 * max(scores[:2])
    assert scores[2] < 3  # of 12: far from a foregone conclusion


def test_seasons(demo: Path) -> None:
    lines = lines_and_sections(demo)

    def summer_share(garment: str) -> float:
        month = lines.filter(product_type_name=garment)["t_dat"].dt.month()
        return month.is_in([5, 6, 7, 8]).sum() / len(month)

    assert summer_share("Shorts") > 0.5 > 0.33 > summer_share("Sweater")


def test_articles_are_launched_until_the_last_days_and_some_later(demo: Path) -> None:
    sold = lines_and_sections(demo).group_by("article_id").agg(pl.col("t_dat").min())["t_dat"]
    assert 0.9 < len(sold) / 2_000 < 1
    assert (sold >= date(2020, 9, 1)).sum() > 5
    assert (sold >= date(2019, 9, 20)).mean() > 0.3


def test_what_is_bought_again_was_mostly_bought_lately(demo: Path) -> None:
    days = lines_and_sections(demo).select("customer_id", "article_id", "t_dat").unique().sort("t_dat")
    gap = (pl.col("t_dat") - pl.col("t_dat").shift(1).over("customer_id", "article_id")).dt.total_days()
    assert 0.55 < days.select((gap <= 30).filter(gap.is_not_null()).mean()).item() < 0.8


def test_customers_come_back_for_other_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a shop with many products, where chance alone seldom picks the same one twice."""
    size = Size.of_scale(0.3, 3_000)
    found = []
    for name in ("as it is", "never"):
        generate(tmp_path / name, size, seed=1, image_count=0)
        lines = pl.read_csv(tmp_path / name / "transactions_train.csv", schema_overrides={"article_id": pl.String})
        bought = lines.select("t_dat", "customer_id", "article_id", pl.col("article_id").str.head(7).alias("product"))
        again = bought.unique().join(bought.unique(), on=["customer_id", "product"])
        is_other = (pl.col("t_dat_right") < pl.col("t_dat")) & (pl.col("article_id_right") != pl.col("article_id"))
        found.append(len(again.filter(is_other).unique(["t_dat", "customer_id", "article_id"])) / len(bought.unique()))
        monkeypatch.setattr(transactions, "VARIANT", 0)
    assert found[0] > 1.15 * found[1]
