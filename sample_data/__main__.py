"""python -m sample_data generate | styles | report"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from rich.console import Console
from rich.progress import Progress

from sample_data.calendar import DAYS
from sample_data.generate import PRESETS, Size, generate
from sample_data.report import report_table
from sample_data.styles import write as write_styles

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Made-up sample data, of any size.")
console = Console()
MOST_IMAGES = 2_000


class Preset(StrEnum):
    """Named sizes."""

    tiny = "tiny"
    demo = "demo"


def image_count(text: str | None, articles: int) -> int:
    """How many articles to draw, from `all`, `none`, a number, or nothing (at most MOST_IMAGES)."""
    if text in ("all", "none"):
        return articles if text == "all" else 0
    if text is not None and not text.isdecimal():
        raise typer.BadParameter(f"--images is a number, 'all' or 'none', not {text!r}")
    return min(articles, MOST_IMAGES if text is None else int(text))


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """A folder that cannot be written to ends the command with one line."""
    try:
        yield
    except OSError as error:
        raise typer.BadParameter(f"{error.filename or out}: {error.strerror}") from None


@app.command("generate")
def generate_command(
    out: Annotated[Path, typer.Option(help="Directory to write to; files of the same names are replaced.")],
    preset: Annotated[
        Preset,
        typer.Option(help="demo: 5,000 customers, 2,000 articles, 150,000 lines; tiny: 300, 150, 12,000."),
    ] = Preset.demo,
    scale: Annotated[
        float | None,
        typer.Option(
            min=0.0005,
            max=4,
            help="Instead of a preset: 1.0 is 31,788,324 lines, 1,371,980 customers and so on.",
        ),
    ] = None,
    customers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only so many customers of the shop of that --scale: a sample of a large shop, which is sparser than "
            "a small shop. Drawn in the same way as the whole shop's, but not out of them.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and size give the same bytes.")] = 20200916,
    images: Annotated[
        str | None,
        typer.Option(
            help=f"Articles to draw, the newest: a number, 'all' or 'none'; without it all, at most {MOST_IMAGES:,}."
        ),
    ] = None,
    event_days: Annotated[
        int,
        typer.Option(min=0, max=DAYS, help=f"Last days of which the shop's log is written; {DAYS}: all of them."),
    ] = 14,
) -> None:
    """Write articles.csv, customers.csv, transactions_train.csv and images/010/0108775001.jpg, ...

    Two years of sales, 2018-09-20 to 2020-09-22, in the schema of the H&M data. Without --scale and --preset it is the
    demo's size. An image is drawn in about 3 ms.
    """
    if customers is not None and scale is None:
        raise typer.BadParameter("--customers is a sample of a shop: give its size with --scale")
    try:
        size = PRESETS[preset] if scale is None else Size.of_scale(scale, customers)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with writing(out):
        done = generate(out, size, seed, image_count(images, size.articles), event_days)
    console.print(
        f"{out}: {size.articles:,} articles, {size.customers:,} customers, {size.lines:,} lines "
        f"({size.lines / done.line_seconds:,.0f} lines/s), {done.images:,} images"
    )


@app.command("styles")
def styles_command(
    out: Annotated[Path, typer.Option(help="Directory to write to; files of the same names are replaced.")],
    articles: Annotated[int, typer.Option(min=2, help="How many styles.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and size give the same bytes.")] = 20200916,
) -> None:
    """Write styles.csv and images/1163.jpg, ...: a catalogue without customers, shaped as Fashion Product Images is."""
    with Progress() as progress:
        bar = progress.add_task("styles", total=articles)
        with writing(out):
            images = write_styles(out, articles, seed, lambda n: progress.advance(bar, n))
    console.print(f"{out}: {articles:,} styles, {images:,} pictures")


@app.command("report")
def report_command(
    data: Annotated[Path, typer.Option(help="Directory with the three CSV files.", exists=True, file_okay=False)],
) -> None:
    """Print the moments of a data set beside those counted on the real H&M files."""
    try:
        table = report_table(data)
    except (duckdb.Error, ValueError) as error:
        raise typer.BadParameter(str(error).partition("\n")[0]) from None
    console.print(table)


if __name__ == "__main__":
    app(prog_name="python -m sample_data")
