"""Writes a whole sample: three CSV files and the images."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sample_data import catalogue, customers, images, transactions, visits
from sample_data.events import Log
from sample_data.files import atomic

FULL_LINES = 31_788_324


@dataclass(frozen=True)
class Size:
    """How many of each to generate; `shop_lines` are those of the whole shop where its customers are a sample."""

    articles: int
    customers: int
    lines: int
    shop_lines: int | None = None

    @classmethod
    def of_scale(cls, scale: float, sample: int | None = None) -> "Size":
        """That fraction of the full size; of its customers only `sample`, with their share of the lines.

        Raises:
            ValueError: the shop has fewer customers.
        """
        full = (catalogue.FULL_ARTICLES, customers.FULL_CUSTOMERS, FULL_LINES)
        articles, everybody, lines = (max(1, round(count * scale)) for count in full)
        if sample is None:
            return cls(articles, everybody, lines)
        if sample > everybody:
            raise ValueError(f"a shop of scale {scale:g} has {everybody:,} customers: no sample of {sample:,}")
        return cls(articles, sample, max(1, round(lines * sample / everybody)), lines)


PRESETS = {
    "tiny": Size(articles=150, customers=300, lines=12_000),
    "demo": Size(articles=2_000, customers=5_000, lines=150_000),
}


class Done(NamedTuple):
    """What `generate` has to tell: files drawn, and the seconds all transaction lines took."""

    images: int
    line_seconds: float


def generate(out: Path, size: Size, seed: int, image_count: int, event_days: int = 0) -> Done:
    """Write articles.csv, customers.csv, transactions_train.csv and pictures of `image_count` articles below `out`.

    The pictures are of the articles with the highest numbers, roughly the newest: which have one does not say what
    sells later. Of the last `event_days` days the shop's log is written, too (sample_data.events).

    The same size and seed give the same bytes; each file appears only when it is complete, the long one first: a
    generation killed on the way leaves an earlier sample as it was.
    """
    for_articles, for_customers, for_visits, for_lines, for_events = np.random.SeedSequence(seed).spawn(5)
    columns = (TextColumn("{task.description:<17}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("transaction lines", total=size.lines)
        shop = catalogue.build(size.articles, for_articles)
        people = customers.build(size.customers, for_customers)
        start = perf_counter()
        baskets = visits.build(people, size.lines, for_visits)
        path = out / "transactions_train.csv"
        log = Log(out, shop, people, event_days, for_events)
        transactions.write(
            path,
            shop,
            people,
            baskets,
            for_lines,
            partial(progress.advance, bar),
            size.shop_lines or size.lines,
            log.write,
        )
        if event_days:
            log.finish()
        seconds = perf_counter() - start
        for name, frame in (("articles.csv", shop.frame), ("customers.csv", people.frame)):
            with atomic(out / name) as file:
                frame.write_csv(file)
        drawn = 0
        if image_count:
            bar = progress.add_task("images", total=image_count)
            places = np.arange(max(0, size.articles - image_count), size.articles)
            drawn = images.write(out / "images", shop, places, seed, partial(progress.advance, bar))
    return Done(drawn, seconds)
