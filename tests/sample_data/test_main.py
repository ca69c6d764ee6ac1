"""The commands: what cannot be done ends with one line that says why, never with a stack trace."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from sample_data.__main__ import app
from sample_data.generate import PRESETS, Size, generate


def refused(*arguments: object) -> str:
    """The message of a command that ends with exit status 2, in one line."""
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(argument) for argument in arguments])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny")
    generate(out, PRESETS["tiny"], seed=1, image_count=0)
    return out


def copy(data: Path, out: Path, file: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """The three files of `data` in `out`, one of them changed."""
    out.mkdir(exist_ok=True)
    for path in data.glob("*.csv"):
        frame = pl.read_csv(path, infer_schema=False)
        (change(frame) if path.name == file else frame).write_csv(out / path.name)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--scale", 0), "'--scale'"),
        (("--scale", 1, "--customers", 0), "'--customers'"),
        (("--scale", 0.01, "--customers", 13_721), "a shop of scale 0.01 has 13,720 customers: no sample of 13,721"),
        (("--customers", 5), "--customers is a sample of a shop: give its size with --scale"),
        (("--preset", "tiny", "--images", "-3"), "--images is a number, 'all' or 'none', not '-3'"),
    ],
)
def test_options_that_make_no_shop(tmp_path: Path, options: tuple[object, ...], why: str) -> None:
    assert why in refused("generate", "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [("generate", "--preset", "tiny", "--images", "none"), ("styles", "--articles", 2)])
def test_a_file_in_place_of_the_folder(tmp_path: Path, command: tuple[object, ...]) -> None:
    (tmp_path / "taken").touch()
    assert f"{tmp_path / 'taken'}: File exists" in refused(*command, "--out", tmp_path / "taken")


def test_one_customer_and_no_line_are_reported_too(tiny: Path, tmp_path: Path) -> None:
    generate(tmp_path / "one", Size.of_scale(0.001, sample=1), seed=1, image_count=0)
    copy(tiny, tmp_path / "none", "transactions_train.csv", lambda lines: lines.clear())
    for name in ("one", "none"):
        result = CliRunner().invoke(app, ["report", "--data", str(tmp_path / name)])
        assert result.exit_code == 0 and "buyers without history" in result.output


def test_a_folder_without_the_files(tmp_path: Path) -> None:
    assert f'No files found that match the pattern "{tmp_path}/articles.csv"' in refused("report", "--data", tmp_path)


@pytest.mark.parametrize(("file", "column"), [("articles.csv", "section_no"), ("transactions_train.csv", "price")])
def test_a_column_is_missing(tiny: Path, tmp_path: Path, file: str, column: str) -> None:
    copy(tiny, tmp_path, file, lambda rows: rows.drop(column))
    assert f'"{column}"' in refused("report", "--data", tmp_path)


def test_columns_may_come_in_another_order(tiny: Path, tmp_path: Path) -> None:
    copy(tiny, tmp_path, "transactions_train.csv", lambda lines: lines.select(reversed(lines.columns)))
    runner = CliRunner()
    results = [runner.invoke(app, ["report", "--data", str(folder)]) for folder in (tiny, tmp_path)]
    assert results[0].exit_code == 0 and results[0].output == results[1].output


def test_lines_of_customers_that_are_not_listed_are_not_dropped(tiny: Path, tmp_path: Path) -> None:
    customers = pl.read_csv(tiny / "customers.csv", infer_schema=False).head(200)["customer_id"]
    lines = pl.read_csv(tiny / "transactions_train.csv", infer_schema=False)
    lost = len(lines.filter(~pl.col("customer_id").is_in(customers.implode())))
    copy(tiny, tmp_path, "customers.csv", lambda rows: rows.head(200))
    assert f"{lost:,} lines have a customer or an article that" in refused("report", "--data", tmp_path)
