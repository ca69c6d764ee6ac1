"""Are the real H&M files what was published about them, and do our baselines reach the published figures on them?

Not a task of the DAG: `make conformance DATA=/data/hm WAREHOUSE=/data/warehouse`. It reads the three CSV files, and
counts the silver tables where the warehouse has them. It applies to the complete real files only, recognised by
facts that no generated data of the same size share; on anything else it prints why it does not apply, and succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from rich import progress

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.transactions import TRANSACTIONS
from jobs.evaluation.protocol import HEADLINE_K, check_fold
from jobs.metrics.ranking_metrics import Truth, average_precision, hit_ranks
from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK
from jobs.retrieval.baselines import BASELINES
from jobs.retrieval.purchases import Purchases, encode, first_per_group, sorted_ids

READS, WRITES = (ARTICLES, CUSTOMERS, TRANSACTIONS), ()
SETTINGS = ("data",)

#: A figure is reproduced when it is within this share of the published one.
BAND = 0.15
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Published:
    """What is known of a data set. The defaults are the real H&M files', counted on them or from public write-ups.

    Attributes:
        articles, customers, transactions: lines of the files.
        first_day, last_day: of the transactions; the last week ends with `last_day`.
        no_description: articles without a detail_desc.
        known_article: an article and its name.
        known_customer: a customer that is in the list.
        customers_who_bought, articles_sold: distinct ones among the transactions.
        week_lines, week_buyers, week_articles, week_baskets: of the last week; a basket is all of a customer's day.
        map_at_12: of baselines on the last week.
    """

    articles: int = 105_542
    customers: int = 1_371_980
    transactions: int = 31_788_324
    first_day: date = date(2018, 9, 20)
    last_day: date = date(2020, 9, 22)
    no_description: int = 416
    known_article: tuple[str, str] = ("0108775015", "Strap top")
    known_customer: str = "00000dbacae5abe5e23885899a1fa44253a17956c6d1c3d25f88aa139fdfc657"
    customers_who_bought: int = 1_362_281
    articles_sold: int = 104_547
    week_lines: int = 240_311
    week_buyers: int = 68_984
    week_articles: int = 17_986
    week_baskets: int = 77_143
    map_at_12: dict[str, float] = field(
        default_factory=lambda: {"popularity_7d": 0.0087, "own_last_week_purchases": 0.0217}
    )


@dataclass(frozen=True)
class Line:
    """One thing that was compared; `expected` None: there is nothing to compare it with."""

    what: str
    found: float
    expected: float | None
    band: float = 0.0

    @property
    def is_off(self) -> bool:
        return self.expected is not None and not abs(self.found - self.expected) <= self.band * self.expected

    def __str__(self) -> str:
        verdict = "--" if self.expected is None else "OFF" if self.is_off else "ok"
        shown = "{:,.4f}" if isinstance(self.found, float) else "{:,}"
        known = "nothing published" if self.expected is None else f"published {shown.format(self.expected)}"
        if self.expected is not None and self.band:
            known += f", may differ by {self.band:.0%}"
        return f"{verdict:<4}{self.what}: {shown.format(self.found)} ({known})"


def main(job: Job) -> str:
    return compare(job, Published())


def compare(job: Job, known: Published) -> str:
    """Print a line for each thing compared; returns the summary.

    Raises JobError where a line is off, or a file cannot be read.
    """
    data = Path(job.settings.data)
    catalogue = _read(data / "articles.csv", ("article_id", "prod_name", "detail_desc"))
    customers = _read(data / "customers.csv", ("customer_id",))["customer_id"]
    differing = list(catalogue_differences(catalogue, customers, known))
    if not differing:
        purchases = read_purchases(data / "transactions_train.csv", sorted_ids(customers), catalogue["article_id"])
        differing = list(purchase_differences(purchases, known))
    if differing:
        return f"does not apply: {data} is not the complete H&M data ({'; '.join(differing)})"
    start = known.last_day + timedelta(days=1) - WEEK
    lines = [*counts(purchases, start, known), *silver_counts(job, known), *baseline_lines(purchases, start, known)]
    for line in lines:
        print(line)
    compared = [line for line in lines if line.expected is not None]
    if off := [line.what for line in compared if line.is_off]:
        raise JobError(f"{len(off)} of {len(compared)} lines are off: {', '.join(off)}")
    return f"applies, and all {len(compared)} lines are as published"


def catalogue_differences(catalogue: pa.Table, customers: pa.ChunkedArray, known: Published) -> Iterator[str]:
    """Where catalogue or customer list is not the known data set's."""
    if catalogue.num_rows != known.articles:
        yield f"articles.csv: {catalogue.num_rows:,} articles, not {known.articles:,}"
    if len(customers) != known.customers:
        yield f"customers.csv: {len(customers):,} customers, not {known.customers:,}"
    article, name = known.known_article
    names = catalogue.filter(pc.equal(catalogue["article_id"], article))["prod_name"].to_pylist()
    if names != [name]:
        yield f"articles.csv: article {article} is {names[0] if names else 'not there'}, not {name}"
    if (missing := catalogue["detail_desc"].null_count) != known.no_description:
        yield f"articles.csv: {missing:,} articles without description, not {known.no_description:,}"
    if not pc.any(pc.equal(customers, known.known_customer)).as_py():
        yield f"customers.csv: no customer {known.known_customer[:12]}..."


def purchase_differences(purchases: Purchases, known: Published) -> Iterator[str]:
    """Where the transactions are not the known data set's."""
    if len(purchases) != known.transactions:
        yield f"transactions_train.csv: {len(purchases):,} lines, not {known.transactions:,}"
    first, last = (np.datetime64(int(day), "D").item() for day in purchases.day[[0, -1]])
    if (first, last) != (known.first_day, known.last_day):
        yield f"transactions_train.csv: from {first} to {last}, not from {known.first_day} to {known.last_day}"


def counts(purchases: Purchases, start: date, known: Published) -> Iterator[Line]:
    """What was counted on the transactions, and on the last week's."""
    week = purchases.between(start, start + WEEK)
    yield Line("customers who bought", _distinct(purchases.customer), known.customers_who_bought)
    yield Line("articles sold", _distinct(purchases.article), known.articles_sold)
    yield Line(f"lines from {start} to {known.last_day}", len(week), known.week_lines)
    yield Line("buyers of that week", _distinct(week.customer), known.week_buyers)
    yield Line("articles of that week", _distinct(week.article), known.week_articles)
    days = (week.day - week.day[0]).astype(np.int64)
    yield Line("baskets of that week", _distinct(week.customer * np.int64(7) + days), known.week_baskets)


def silver_counts(job: Job, known: Published) -> Iterator[Line]:
    """Rows of the silver tables, where they have been taken in."""
    for contract, column, rows in (
        (ARTICLES, "article_key", known.articles),
        (CUSTOMERS, "customer_key", known.customers),
        (TRANSACTIONS, "t_dat", known.transactions),
    ):
        if job.exists(contract):
            yield Line(contract.path, job.read_arrow(contract, [column]).num_rows, rows)
        else:
            print(f"--  {contract.path}: not taken in yet")


def baseline_lines(purchases: Purchases, start: date, known: Published) -> Iterator[Line]:
    """MAP@12 of the baselines on the last week, the published ones first."""
    history, labels = purchases.before(start), purchases.between(start, start + WEEK)
    check_fold(history, labels, start)
    truth = Truth.of(labels)
    lists = {"own_last_week_purchases": own_last_week(history, truth.customers, HEADLINE_K)}
    for name, baseline in BASELINES.items():
        lists[name] = baseline(history, truth.customers, start, HEADLINE_K)
    lists["own_purchases_of_the_week_before"] = own_last_week(
        purchases.between(start - WEEK, start), truth.customers, HEADLINE_K
    )
    for name in dict.fromkeys((*known.map_at_12, *lists)):
        value = float(average_precision(hit_ranks(lists[name], truth), truth, HEADLINE_K).mean())
        yield Line(f"MAP@12 of {name}", value, known.map_at_12.get(name), BAND)


def own_last_week(history: Purchases, customers: Ints, width: int) -> Ints:
    """What each customer bought in the 7 days up to their own last purchase, as the public notebooks have it.

    The more units the better, then the later day: (n, width) article codes, padded with NO_ARTICLE. Everybody with
    history has such a week, whenever it was; not to be confused with the calendar week before the label week.
    """
    last = np.full(len(history.customer_ids), -1, dtype=np.int32)
    last[history.customer] = history.day  # ascending days: the last one stays
    recent = history.day > last[history.customer] - WEEK.days
    customer, article, day = history.customer[recent], history.article[recent], history.day[recent]
    order = np.lexsort((-day, article, customer))
    customer, article, day = customer[order], article[order], day[order]
    first = np.flatnonzero((np.diff(customer, prepend=-1) != 0) | (np.diff(article, prepend=-1) != 0))
    units = np.diff(first, append=len(customer))
    customer, article, day = customer[first], article[first], day[first]
    order = np.lexsort((article, -day, -units, customer))
    return first_per_group(customer[order], article[order], customers, width)


def read_purchases(path: Path, customer_ids: pa.StringArray, article_ids: pa.ChunkedArray) -> Purchases:
    """All lines of the file, block by block; raises JobError where one names nobody, or no article."""
    articles = sorted_ids(article_ids)
    types = {"t_dat": pa.date32()} | dict.fromkeys(
        ("customer_id", "article_id"), pa.dictionary(pa.int32(), pa.string())
    )
    parts: list[tuple[Ints, Ints, Ints]] = []
    with _opened(path) as file:
        for block in _blocks(file, types):
            day = block.column("t_dat").cast(pa.int32()).to_numpy()
            codes = []
            for name, ids in (("customer", customer_ids), ("article", articles)):
                values = block.column(f"{name}_id")
                codes.append(encode(pa.chunked_array([values.dictionary]), ids, name)[values.indices.to_numpy()])
            parts.append((day, *codes))
    day, customer, article = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((article, customer, day))
    return Purchases(day[order], customer[order], article[order], customer_ids, articles)


def _blocks(file: object, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    try:
        yield from pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
            convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise JobError(f"transactions_train.csv: {error}") from None


def _read(path: Path, columns: tuple[str, ...]) -> pa.Table:
    """Columns of a small file as text, empty values as null."""
    options = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()), include_columns=list(columns), strings_can_be_null=True,
        null_values=[""], quoted_strings_can_be_null=True,
    )  # fmt: skip
    with _opened(path) as file:
        try:
            parsing = pa_csv.ParseOptions(newlines_in_values=True)
            return pa_csv.read_csv(file, parse_options=parsing, convert_options=options)
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise JobError(f"{path}: {error}") from None


def _opened(path: Path):  # type: ignore[no-untyped-def]  # rich does not export its type
    try:
        return progress.open(path, "rb", description=f"reading {path.name}", transient=True)
    except OSError as error:
        raise JobError(f"{path}: {error.strerror}; --data is the folder with the three CSV files") from None


def _distinct(values: np.ndarray) -> int:
    return len(np.unique(values))


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
