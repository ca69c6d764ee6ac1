"""Articles that go by another id: renamed, merged, and mistakes in saying so."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest import articles, transactions
from jobs.ingest.mapping import BUILT_IN
from jobs.ingest.renamed import newest_ids
from jobs.platform.errors import JobError
from tests.jobs.ingest.retail import (
    A1,
    A2,
    A3,
    ARTICLES_HEADER,
    C1,
    TRANSACTIONS_HEADER,
    article,
    job,
    publish_ids,
    purchase,
    rows_of,
    version_of,
    write,
)

NEW, OTHER = "0999999001", "0999999002"
WEEK_1, WEEK_2 = date(2020, 9, 9), date(2020, 9, 16)


def renaming(data: Path, **pairs: str) -> str:
    """A mapping that says so: a1 = the new id of A1."""
    old = {"a1": A1, "a2": A2, "a3": A3, "new": NEW}
    lines = "".join(f'"{old[name]}" = "{new}"\n' for name, new in pairs.items())
    text = (BUILT_IN / "hm.toml").read_text()
    (data / "shop.toml").write_text(text.replace("[customers]", f"[articles.renamed]\n{lines}\n[customers]", 1))
    return str(data / "shop.toml")


def test_renamed_and_merged_articles_keep_their_purchases(spark: SparkSession, tmp_path: Path) -> None:
    """A1 becomes NEW, which the list has; A2 becomes A3, which sold as well. All is as if it had always been so."""
    publish_ids(tmp_path, CUSTOMERS, [C1])
    write(tmp_path / "articles.csv", ARTICLES_HEADER, [article(each) for each in (A1, A2, A3)])
    articles.main(job(articles, None, tmp_path, as_of_date=WEEK_1))
    bought = [(1, A1), (1, A1), (2, A2), (3, A3)]
    lines = [purchase(f"2020-09-0{day}", C1, each) for day, each in bought]
    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, lines)
    transactions.main(job(transactions, spark, tmp_path, as_of_date=WEEK_1))

    mapping = renaming(tmp_path, a1=NEW, a2=A3)
    write(tmp_path / "articles.csv", ARTICLES_HEADER, [article(each) for each in (A2, A3, NEW)])
    said = articles.main(job(articles, None, tmp_path, mapping=mapping))
    assert said == "2 rows from articles.csv; 0 rows in quarantine; 2 more are not listed any more"
    assert rows_of(tmp_path, ARTICLES, "article_id", "article_key", "is_delisted", "delisted_date") == [
        (A1, 0, True, WEEK_2),
        (A2, 1, True, WEEK_2),
        (A3, 2, False, None),
        (NEW, 3, False, None),
    ]
    assert dict(rows_of(tmp_path, ARTICLES, "article_id", "replaced_by")) == {A1: NEW, A2: A3, A3: None, NEW: None}
    write(
        tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [purchase("2020-09-10", C1, each) for each in (A1, NEW)]
    )
    transactions.main(job(transactions, spark, tmp_path, mapping=mapping))
    expected = [*[(date(2020, 9, 1), NEW, 3)] * 2, (date(2020, 9, 2), A3, 2), (date(2020, 9, 3), A3, 2)]
    expected += [(date(2020, 9, 10), NEW, 3)] * 2
    assert rows_of(tmp_path, TRANSACTIONS, "t_dat", "article_id", "article_key") == expected
    assert rows_of(tmp_path, QUARANTINE, "reason") == []
    assert "nothing to do" in articles.main(job(articles, None, tmp_path, mapping=mapping))
    assert "nothing to do" in transactions.main(job(transactions, spark, tmp_path, mapping=mapping))


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ({"a1": A2, "a2": A1}, f"{A1} -> {A2} -> {A1}: a circle"),
        ({"a1": A1}, f"{A1} -> {A1}: a circle"),
        ({"a1": "999"}, "renamed: 999: not like id_pattern"),
        (
            {"a1": OTHER, "a2": A3},
            f"articles.csv: has none of the new ids that .* gives in {A1} = {OTHER};",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, pairs: dict[str, str], said: str) -> None:
    write(tmp_path / "articles.csv", ARTICLES_HEADER, [article(each) for each in (A1, A2, A3)])
    with pytest.raises(JobError, match=said) as error:
        articles.main(job(articles, None, tmp_path, mapping=renaming(tmp_path, **pairs)))
    assert "\n" not in str(error.value)
    assert version_of(tmp_path, ARTICLES) is None


def test_a_split_has_one_heir(tmp_path: Path) -> None:
    path = Path(renaming(tmp_path, a1=A2))
    path.write_text(path.read_text().replace(f'"{A1}" = ', f'"{A1}" = "{A3}"\n"{A1}" = '))
    write(tmp_path / "articles.csv", ARTICLES_HEADER, [article(A2)])
    with pytest.raises(JobError, match=r"shop.toml: not a TOML file: .*line") as error:
        articles.main(job(articles, None, tmp_path, mapping=str(path)))
    assert "\n" not in str(error.value)


def test_chains_end_at_the_newest() -> None:
    assert newest_ids({"a": "b", "b": "c", "d": "c"}) == {"a": "c", "b": "c", "d": "c"}
