"""A catalogue without customers, in the shape of Fashion Product Images."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.articles import ARTICLES
from expectations.events import ARTICLE_ATTRIBUTES
from expectations.transactions import QUARANTINE
from jobs.ingest import articles, customers, transactions
from jobs.ingest.mapping import load_mapping
from jobs.platform.errors import JobError
from tests.jobs.ingest.retail import job, rows_of, version_of, write

STYLES = "fashion_product_images"
HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
SHIRT = "Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual"


def attributes(data: Path, article_id: str) -> dict[str, str]:
    found = rows_of(data, ARTICLE_ATTRIBUTES, "article_id", "name", "value")
    return {name: value for article, name, value in found if article == article_id}


@pytest.mark.parametrize("quoted", [False, True])
def test_its_traps(tmp_path: Path, quoted: bool) -> None:
    lines = [
        f"15970,{SHIRT},Turtle Check Men Navy Blue Shirt",
        "1163,Women,Accessories,Bags,Handbags,NA,,,NA,Murcia Bag",  # NA is a value; no season, no year
        f"10001,{SHIRT},Arrow Shirt, pack of 2, boxed",  # three fields too many
        f"10001,{SHIRT},Arrow Shirt, pack of 2, boxed",  # again
        "7,Men,Apparel",  # too few are too few
    ]
    if quoted:  # then lines are looked at one by one
        lines[0] = f'15970,{SHIRT},"Turtle 5"" Check"'
        lines.append(f'10002,{SHIRT},"Arrow ""Slim"", blue", pack of 2')
    write(tmp_path / "styles.csv", HEADER, lines)
    said = articles.main(job(articles, None, tmp_path, mapping=STYLES, max_quarantine_share=0.3))
    assert said == f"{3 + quoted} rows from styles.csv; 1 rows in quarantine"
    names = dict(rows_of(tmp_path, ARTICLES, "article_id", "prod_name"))
    assert names["15970"] == ('Turtle 5" Check' if quoted else "Turtle Check Men Navy Blue Shirt")
    assert names["10001"] == "Arrow Shirt, pack of 2, boxed"
    if quoted:
        assert names["10002"] == 'Arrow "Slim", blue, pack of 2'
    facts = rows_of(tmp_path, ARTICLES, "article_id", "colour_group_name", "product_type_name", "index_group_name")
    assert ("1163", "NA", "Handbags", "Women") in facts
    assert attributes(tmp_path, "1163") == {
        "gender": "Women", "masterCategory": "Accessories", "subCategory": "Bags", "articleType": "Handbags",
        "baseColour": "NA", "usage": "NA",
    }  # fmt: skip
    assert attributes(tmp_path, "10001")["season"] == "Fall"
    key = rows_of(tmp_path, ARTICLE_ATTRIBUTES, "article_id", "name")
    assert len(key) == len(set(key)) == 6 + 8 * (2 + quoted)
    assert rows_of(tmp_path, QUARANTINE, "source_line") == [(6,)]

    before = version_of(tmp_path, ARTICLE_ATTRIBUTES)
    again = articles.main(job(articles, None, tmp_path, mapping=STYLES, max_quarantine_share=0.3))
    assert again.endswith("nothing to do") and version_of(tmp_path, ARTICLE_ATTRIBUTES) == before


def test_what_takes_customers_says_why_it_does_not_run(tmp_path: Path) -> None:
    write(tmp_path / "styles.csv", HEADER, [f"15970,{SHIRT},Shirt"])
    for module in (customers, transactions):
        with pytest.raises(JobError, match=r"fashion_product_images has articles and pictures only.*make catalogue"):
            module.main(job(module, None, tmp_path, mapping=STYLES))


def test_a_mapping_has_both_or_neither(tmp_path: Path) -> None:
    mapping = load_mapping(STYLES)
    assert mapping.labels[0] == "gender" and not mapping.has_purchases and load_mapping("hm").has_purchases
    text = Path(articles.__file__).with_name("mappings").joinpath(f"{STYLES}.toml").read_text()
    path = tmp_path / "own.toml"
    path.write_text(text + '\n[customers]\nfile = "c.csv"\ncolumns = { customer_id = "id" }\n')
    with pytest.raises(JobError, match="give customers and transactions, or neither"):
        load_mapping(str(path))
    path.write_text(text.replace('"season", "usage"]', '"sleeve"]'))
    with pytest.raises(JobError, match="labels: sleeve: neither a text of silver/articles nor an attribute"):
        load_mapping(str(path))
