from pathlib import Path

import pytest

from jobs.ingest.mapping import BUILT_IN, load_mapping
from jobs.platform.errors import JobError


def test_hm_is_the_kaggle_files() -> None:
    mapping = load_mapping("hm")
    assert len(mapping.articles.columns) == 25
    assert mapping.customers.columns["is_fn"].column == "FN"
    assert mapping.transactions.file == "transactions*.csv"
    assert mapping.images is not None
    assert mapping.images.format(prefix="010", article_id="0108775015") == "images/010/0108775015.jpg"


def test_complete_journey_has_units_and_no_images() -> None:
    mapping = load_mapping("completejourney")
    assert mapping.images is None
    assert mapping.customers.also_from_transactions
    assert mapping.transactions.source_columns["quantity"] == "units"
    assert mapping.transactions.columns["sales_channel_id"].constant == 1
    assert mapping.customers.columns["age"].first_number


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[articles]", "[artikel]"), "artikel: Extra inputs are not permitted"),
        (("id_pattern", "id_patern"), "articles.id_patern: Extra inputs are not permitted"),
        (("'^\\d{10}$'", "'^(\\d{10}$'"), "articles.id_pattern: Value error, not a regular expression"),
        (('detail_desc = "', 'description = "'), "articles.columns: Value error, description: no such column"),
        (('t_dat = "t_dat"\n', ""), "transactions.columns: Value error, t_dat must be given"),
        (('customer_id = "customer_id"', "customer_id = { constant = 1 }"), "customer_id must be a column of the file"),
        (('"transactions*.csv"', '"../*/t.csv"'), "must be a file or folder below the data folder"),
        (('"transactions*.csv"', '"/data/t.csv"'), "must be a file or folder below the data folder"),
        (('"images/{prefix}', '"../elsewhere/{prefix}'), "images: Value error, must be a path below the data folder"),
        (('"images/{prefix}', '"/elsewhere/{prefix}'), "images: Value error, must be a path below the data folder"),
        (
            ('price = "price"', 'price = { column = "price", constant = 1 }'),
            "either a column of the file or a constant",
        ),
        (("{prefix}", "{folder}"), "images: Value error, must contain {article_id}"),
        (("images/{prefix}", "../elsewhere"), "images: Value error, must be a path below the data folder"),
        (("[transactions]", "[transactions]\nprice_is_line_total = true"), "price_is_line_total needs units"),
        (("[transactions]", "[transactions"), "not a TOML file"),
        (
            ("[transactions]", "[transactions]\nsep = '||'"),
            "transactions.sep: Value error, must be one ASCII character",
        ),
        (("[transactions]", "[transactions]\nquote = ','"), "sep, quote and escape must be different"),
        (("[transactions]", "[transactions]\nencoding = 'klingon'"), "klingon: no such encoding; such as UTF-8"),
        (("[transactions]", "[transactions]\nencoding = 'base64'"), "base64: no such encoding"),
        (("[transactions]", "[transactions]\ndateFormat = 'dd/MM'"), "dateFormat: Value error, 'dd/MM' has no year"),
        (("[transactions]", "[transactions]\ndateFormat = 'YYYY-MM-dd'"), "YYYY in 'YYYY-MM-dd' is none of yyyy, yy"),
        (("[transactions]", "[transactions]\ntimeZone = 'Europe/Nowhere'"), "Europe/Nowhere: no such time zone"),
        (("[transactions]", "[transactions]\nthousands = '.'"), "decimal and thousands must be different"),
    ],
)
def test_a_mistake_is_one_line_naming_file_and_key(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = (BUILT_IN / "hm.toml").read_text()
    assert change[0] in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(JobError) as error:
        load_mapping(str(path))
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        JobError,
        match=r"mapping zara: no such mapping; give one of completejourney, fashion_product_images, hm, or a .toml",
    ):
        load_mapping("zara")


def test_the_digest_follows_what_decides_the_rows(tmp_path: Path) -> None:
    text = (BUILT_IN / "completejourney.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert load_mapping(str(path)).digest == load_mapping("completejourney").digest
    path.write_text(text.replace("max_units = 100", "max_units = 99"))
    assert load_mapping(str(path)).digest != load_mapping("completejourney").digest
