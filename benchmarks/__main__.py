"""`make bench`, `make bench-...`: each beside its peers in the same run; results in
docs/results/benchmarks.md and benchmarks/results/."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import baskets as baskets_
from benchmarks import clean_exits as clean_exits_
from benchmarks import cluster as cluster_
from benchmarks import collaborative as collaborative_
from benchmarks import content as content_
from benchmarks import embeddings as embeddings_
from benchmarks import events as events_
from benchmarks import fashion_mnist as fashion_mnist_
from benchmarks import features as features_
from benchmarks import increments as increments_
from benchmarks import learning_curve as learning_curve_
from benchmarks import reports as reports_
from benchmarks import sample_data as sample_data_
from benchmarks import scoring as scoring_
from benchmarks import search as search_
from benchmarks import sequences as sequences_
from benchmarks import shop as shop_
from benchmarks import tagging as tagging_
from benchmarks import training as training_
from benchmarks import two_tower as two_tower_
from benchmarks import upkeep as upkeep_

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def sample_data(
    lines: Annotated[int, typer.Option(min=100_000, help="Transaction lines to write")] = 2_000_000,
) -> None:
    """Write H&M-shaped files, on one core."""
    sample_data_.run(lines)


@app.command()
def features(
    data: Annotated[Path | None, typer.Option(help="Folder with H&M-shaped files; else generated")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of what is generated: 1.0 is 31,788,324 lines")] = 1.0,
) -> None:
    """Compute the feature tables from CSV, on all cores; at full size it takes some minutes and 12 GB of disk."""
    features_.run(data, scale)


@app.command()
def embeddings(
    encoder: Annotated[
        str, typer.Option(help="efficientnet_lite0, efficientnet_lite0_colour, resnet50, ...")
    ] = "efficientnet_lite0",
    images: Annotated[int, typer.Option(min=64, help="JPEGs to draw and embed")] = 96,
    width: Annotated[int, typer.Option(min=32, help="Of the JPEGs, in pixels")] = 1166,
    height: Annotated[int, typer.Option(min=32, help="Of the JPEGs, in pixels")] = 1750,
    weights_dir: Annotated[Path | None, typer.Option(help="Folder with torchvision's weights; else random")] = None,
) -> None:
    """Embed JPEGs of the size of H&M's; a GPU is used where there is one, and wants some ten thousand images."""
    embeddings_.run(encoder, images, width, height, weights_dir)


@app.command()
def events(
    events: Annotated[int, typer.Option(min=10_000, help="Events to write and take in")] = 30_000_000,
) -> None:
    """Take in the shop's log from JSON lines; 30 million events take 20 GB of disk."""
    events_.run(events)


@app.command()
def fashion_mnist(
    data: Annotated[
        Path,
        typer.Option(
            envvar="ATELIER_FASHION_MNIST", exists=True, file_okay=False, help="Folder with Fashion-MNIST's four files"
        ),
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Of the autoencoder")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the autoencoder's first weights and its batches")] = 20200916,
) -> None:
    """Autoencoder, Eigenfaces, raw pixels: reconstruction error, neighbours' classes; into docs/results/."""
    fashion_mnist_.run(data, epochs, seed)


@app.command()
def collaborative(
    data: Annotated[Path | None, typer.Option(help="Folder with H&M-shaped files; else generated")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of what is generated: 1.0 is 31,788,324 lines")] = 0.02,
) -> None:
    """Alternating least squares by Spark MLlib beside `implicit`: seconds, memory, recall of a held-out week."""
    collaborative_.run(data, scale)


@app.command()
def baskets(
    data: Annotated[Path | None, typer.Option(help="Folder with H&M-shaped files; else generated")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of what is generated: 1.0 is 31,788,324 lines")] = 1.0,
) -> None:
    """Pairs bought together in twelve weeks: counted by sorting, by Spark, as a matrix product, by mlxtend."""
    baskets_.run(data, scale)


@app.command()
def cluster(
    data: Annotated[Path | None, typer.Option(help="Folder with H&M-shaped files; else generated")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of what is generated: 1.0 is 31,788,324 lines")] = 1.0,
) -> None:
    """Compute the feature tables on a Spark cluster of one worker with one core, and of two."""
    cluster_.run(data, scale)


@app.command()
def clean_exits(
    processes: Annotated[
        int, typer.Option(min=1, help="That read and exit, one after the other, of each reader")
    ] = 200,
    table: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="A Delta table; else made")] = None,
) -> None:
    """Processes that read a table and exit: how many of them abort."""
    clean_exits_.run(processes, table)


@app.command()
def increments(
    data: Annotated[Path | None, typer.Option(help="Folder with H&M-shaped files; else generated")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of what is generated: 1.0 is 31,788,324 lines")] = 1.0,
) -> None:
    """The run of a further week, and a year of snapshots, beside computing all anew; 25 GB of disk at full size."""
    increments_.run(data, scale)


@app.command()
def reports(
    data: Annotated[Path | None, typer.Option(help="Folder with H&M-shaped files; else generated")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of what is generated: 1.0 is 31,788,324 lines")] = 1.0,
) -> None:
    """Business metrics of every week, and of the next one, beside DuckDB."""
    reports_.run(data, scale)


@app.command()
def shop(
    articles: Annotated[int, typer.Option(min=1_000, help="In the catalogue")] = 105_542,
    customers: Annotated[int, typer.Option(min=1_000, help="With picks")] = 1_371_980,
) -> None:
    """Pages of the shop window at a fixed rate on one core; 1 GB of disk."""
    shop_.run(articles, customers)


@app.command()
def scoring(
    data: Annotated[Path | None, typer.Option(help="Folder with H&M-shaped files; else generated")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of what is generated: 1.0 is 31,788,324 lines")] = 1.0,
    warehouse: Annotated[
        Path | None, typer.Option(help="With features and a registered version as of 2020-09-23; else made")
    ] = None,
) -> None:
    """Both stages for every customer into Delta, and the search in them beside faiss on its own."""
    scoring_.run(data, scale, warehouse)


@app.command()
def sequences(
    customers: Annotated[int, typer.Option(min=500, help="Each with 20 lines on average")] = 2_000,
) -> None:
    """Sequences a second of recurrent and self-attentive networks through Lightning, beside the bare loop's."""
    sequences_.run(customers)


@app.command()
def tagging(
    articles: Annotated[int, typer.Option(min=1_000, help="Of an epoch; batches are as large as the job's")] = 35_000,
) -> None:
    """Articles a second of the tagger's heads through Lightning, beside the bare loop's."""
    tagging_.run(articles)


@app.command()
def training(
    pairs: Annotated[
        int, typer.Option(min=1_000, help="Of an epoch; batches are as large as the train job's")
    ] = 400_000,
) -> None:
    """Examples a second of both networks through Lightning, beside the bare loop's."""
    training_.run(pairs)


@app.command()
def learning_curve(
    folder: Annotated[Path, typer.Option(file_okay=False, help="Of the samples' files and warehouses, which are kept")],
    customers: Annotated[str, typer.Option(help="Sizes of the samples, with blanks between")] = "1000 5000 20000",
    weeks: Annotated[int, typer.Option(min=1, max=52, help="Label weeks of each")] = 12,
    epochs: Annotated[int, typer.Option(min=1, help="At most")] = 20,
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Where the weeks end")] = datetime(2020, 9, 23),
) -> None:
    """The two-stage model beside every baseline on samples of few and of many customers, into docs/results/."""
    learning_curve_.run([int(size) for size in customers.split()], weeks, epochs, as_of.date(), folder)


@app.command()
def two_tower(
    warehouse: Annotated[Path, typer.Option(exists=True, file_okay=False, help="With silver and feature tables")],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Its last week is held out")],
    data: Annotated[Path, typer.Option(help="Folder with the retailer's images, if any")] = Path("data/sample"),
    weeks: Annotated[int, typer.Option(min=2, help="Label weeks to learn from, the newest to validate on")] = 6,
    epochs: Annotated[int, typer.Option(min=1, help="At most")] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Fits of each variant")] = 2,
) -> None:
    """Retrieval with each choice in the towers' training changed, on a held-out week, into docs/results/."""
    two_tower_.run(data, warehouse, as_of.date(), weeks, epochs, seeds)


@app.command()
def content(
    warehouse: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Of a weekly and a catalogue run")],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Of both runs")],
    data: Annotated[Path, typer.Option(help="Folder with the retailer's images")] = Path("data/sample"),
    weeks: Annotated[int, typer.Option(min=2, help="Training weeks of the weekly run")] = 10,
) -> None:
    """The two-stage model with pictures, texts, the joint space or nothing, into docs/results/."""
    content_.run(data, warehouse, as_of.date(), weeks)


@app.command()
def search(
    articles: Annotated[int, typer.Option(min=2_000, help="Articles of the catalogue")] = 105_542,
) -> None:
    """Questions in words on one core, and picks by text on all, at full size; takes some minutes."""
    search_.run(articles)


@app.command()
def upkeep(
    scale: Annotated[float, typer.Option(min=0.001, help="Size of what is generated: 1.0 is 31,788,324 lines")] = 0.1,
) -> None:
    """Query the tables as published and after housekeeping; a tenth of the full size takes some minutes."""
    upkeep_.run(scale)


if __name__ == "__main__":
    app()
