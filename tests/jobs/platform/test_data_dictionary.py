"""docs/reference/tables.md is what the contracts say."""

from __future__ import annotations

from expectations.registry import CONTRACTS
from jobs.platform import data_dictionary


def test_the_page_is_up_to_date():
    assert data_dictionary.main(["--check"]) == 0, "run `make docs`"


def test_every_table_and_column_is_on_the_page():
    page = data_dictionary.page()
    for contract in CONTRACTS.values():
        assert f"\n## {contract.path}\n" in page
        for column in contract.columns:
            assert f"| `{column.name}` | {column.type} | {column.description} |" in page


def test_check_fails_on_a_difference_and_writing_mends_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(data_dictionary, "PAGE", tmp_path / "docs" / "tables.md")
    assert data_dictionary.main(["--check"]) == 1
    assert "make docs" in capsys.readouterr().err
    assert data_dictionary.main([]) == 0
    assert data_dictionary.main(["--check"]) == 0
    data_dictionary.PAGE.write_text("edited by hand")
    assert data_dictionary.main(["--check"]) == 1
    assert data_dictionary.main(["--chekc"]) == 2
