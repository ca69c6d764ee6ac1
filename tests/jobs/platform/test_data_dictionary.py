"""docs/reference/tables.md is what the contracts say, settings.md what the settings say."""

from __future__ import annotations

from expectations.registry import CONTRACTS
from jobs.platform import data_dictionary, settings_reference
from jobs.platform.settings import Settings


def test_the_page_is_up_to_date():
    assert data_dictionary.main(["--check"]) == 0, "run `make docs`"


def test_every_table_and_column_is_on_the_page():
    page = data_dictionary.page()
    for contract in CONTRACTS.values():
        assert f"\n## {contract.path}\n" in page
        for column in contract.columns:
            assert f"| `{column.name}` | {column.type} | {column.description} |" in page


def test_every_setting_is_on_its_page():
    rows = {line.split("`")[1]: line for line in settings_reference.page().splitlines() if line.startswith("| `")}
    assert list(rows) == list(Settings.model_fields)
    assert rows["as_of_date"].startswith("| `as_of_date` | date | required | ")
    assert rows["top_k"] == "| `top_k` | integer, ≥ 1, ≤ 30 | `12` | Recommendations per customer |"
    assert "| number, > 0, ≤ 100 | `12` |" in rows["colour_tolerance"].replace("`12.0`", "`12`")
    assert "| list of integer, > 0 | `30,50,100` |" in rows["sweep_epochs"]
    assert "| `tfidf`, `yake` | `tfidf` |" in rows["keyword_method"] and "| boolean | `false` |" in rows["accept_drift"]
    assert "| string | none |" in rows["mlflow_tracking_uri"]


def test_check_fails_on_a_difference_and_writing_mends_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(data_dictionary, "REFERENCE", tmp_path / "reference")
    assert data_dictionary.main(["--check"]) == 1
    assert "tables.md, settings.md out of date: run `make docs`" in capsys.readouterr().err
    assert data_dictionary.main([]) == 0
    assert data_dictionary.main(["--check"]) == 0
    (tmp_path / "reference" / "settings.md").write_text("edited by hand")
    assert data_dictionary.main(["--check"]) == 1
    assert "docs/reference/: settings.md out of date" in capsys.readouterr().err
    assert data_dictionary.main(["--chekc"]) == 2
