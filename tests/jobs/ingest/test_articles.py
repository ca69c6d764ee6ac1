from pathlib import Path

import pytest

from expectations.articles import ARTICLES
from expectations.transactions import QUARANTINE
from jobs.ingest import articles
from jobs.platform.errors import JobError
from tests.jobs.ingest.retail import A1, A2, A3, ARTICLES_HEADER, article, job, rows_of, version_of, write


def test_catalogue_typed_checked_and_taken_in_once(tmp_path: Path) -> None:
    lines = [
        article(A1, product_code="0108775", product_type_no="253", detail_desc='"Vest, with\n""narrow"" straps"'),
        article(A2, product_type_no="253.0", colour_group_code="dark"),  # an optional code that is no number: line 4
        article(A1, product_code="0108775", product_type_no="253", detail_desc='"Vest, with\n""narrow"" straps"'),
        article(A1, product_code="0108775", product_type_no="254"),  # line 7: the same article, otherwise
        article("1087-75015"),  # line 8
        article(""),  # line 9
        article(A3 + "\\n"),  # line 10
        article(A3),
        A3 + ",0110065,trunc",  # line 12
    ]
    write(tmp_path / "articles.csv", ARTICLES_HEADER, lines, last="")
    with pytest.raises(JobError, match=r"articles.csv: 6 of 8 rows are bad \(75.0%, limit 50.0%\)") as error:
        articles.main(job(articles, None, tmp_path, max_quarantine_share=0.5))
    assert "2 x article_id is malformed, first on line 8" in str(error.value)
    assert "broken line: not 25 fields of UTF-8 text, first on line 12" in str(error.value)
    assert "\n" not in str(error.value)
    assert version_of(tmp_path, ARTICLES) is version_of(tmp_path, QUARANTINE) is None

    said = articles.main(job(articles, None, tmp_path, max_quarantine_share=0.8))
    assert said == "3 rows from articles.csv; 6 rows in quarantine"
    assert rows_of(
        tmp_path, ARTICLES, "article_id", "product_code", "product_type_no", "colour_group_code", "detail_desc"
    ) == [
        (A1, "0108775", 253, None, 'Vest, with\n"narrow" straps'),
        (A2, None, 253, None, None),
        (A3, None, None, None, None),
    ]
    assert rows_of(tmp_path, QUARANTINE, "table_name", "source_file", "source_line", "reason") == [
        ("articles", "articles.csv", 4, "colour_group_code unreadable, left empty"),
        ("articles", "articles.csv", 7, "article_id already on an earlier line, with other values"),
        ("articles", "articles.csv", 8, "article_id is malformed"),
        ("articles", "articles.csv", 9, "article_id is empty"),
        ("articles", "articles.csv", 10, "article_id is malformed"),
        ("articles", "articles.csv", 12, "broken line: not 25 fields of UTF-8 text"),
    ]
    raw = dict(rows_of(tmp_path, QUARANTINE, "source_line", "raw_row"))
    assert raw[12] == '{"line":"0110065001,0110065,trunc"}'
    assert raw[8].startswith('{"article_id":"1087-75015","product_code":')

    # The same file again: no commit.
    before = version_of(tmp_path, ARTICLES), version_of(tmp_path, QUARANTINE)
    assert articles.main(job(articles, None, tmp_path)) == "articles.csv is as it was taken in; nothing to do"
    assert (version_of(tmp_path, ARTICLES), version_of(tmp_path, QUARANTINE)) == before

    # A new catalogue replaces what it lists, and its good rows the old bad ones; CRLF and column order do not matter.
    header = ARTICLES_HEADER.split(",")
    turned = [",".join(reversed(article(A2, prod_name="Vest").split(",")))]
    write(tmp_path / "articles.csv", ",".join(reversed(header)), turned, end="\r\n")
    said = articles.main(job(articles, None, tmp_path))
    assert said == "1 rows from articles.csv; 0 rows in quarantine; 2 more are not listed any more"
    assert rows_of(tmp_path, ARTICLES, "article_id", "prod_name", "is_delisted") == [
        *((A1, None, True), (A2, "Vest", False), (A3, None, True)),
    ]
    assert rows_of(tmp_path, QUARANTINE, "source_line") == []


def test_file_replaced_while_read_leaves_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "articles.csv", ARTICLES_HEADER, [article(A1)])
    read = articles.read_records

    def read_then_replaced(*args: object):
        rows = read(*args)
        write(path, ARTICLES_HEADER, [article(A2)])
        return rows

    monkeypatch.setattr(articles, "read_records", read_then_replaced)
    with pytest.raises(JobError, match="replaced while it was being read"):
        articles.main(job(articles, None, tmp_path))
    assert version_of(tmp_path, ARTICLES) is version_of(tmp_path, QUARANTINE) is None
