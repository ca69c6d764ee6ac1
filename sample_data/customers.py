"""customers.csv: who the customers are, with the tastes that the shop only sees through what they buy."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from sample_data import vocabulary as words
from sample_data.catalogue import STYLE

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
FULL_CUSTOMERS = 1_371_980
NEVER_BOUGHT = 0.007
FAVOURITES = 4
GROUPS = [1, 2, 3, 4, 26]  # Ladieswear, Divided, Menswear, Baby/Children, Sport
PERSONAS = np.array([  # what each kind of customer buys, by index group
    [0.86, 0.08, 0.01, 0.02, 0.03],  # woman
    [0.45, 0.50, 0.01, 0.00, 0.04],  # young woman
    [0.08, 0.07, 0.80, 0.01, 0.04],  # man
    [0.45, 0.05, 0.05, 0.42, 0.03],  # parent
    [0.50, 0.15, 0.08, 0.02, 0.25],  # sporty
])  # fmt: skip
PERSONAS_AT_AGE = np.array([  # share of each persona below 30, below 46, and above
    [0.35, 0.45, 0.08, 0.04, 0.08],
    [0.42, 0.10, 0.10, 0.30, 0.08],
    [0.68, 0.04, 0.12, 0.10, 0.06],
])  # fmt: skip


@dataclass(frozen=True)
class Customers:
    """n customers in the order of customers.csv: `frame` is the file, the arrays are hidden from it.

    `favourites` (n, FAVOURITES) are sections, most loved first; `style` (n, STYLE) is matched against articles' style;
    `online` is the probability of buying online; `appetite` scales baskets; `buys` is False for who never buys.
    """

    frame: pl.DataFrame
    persona: Bytes
    favourites: Bytes
    style: NDArray[np.float32]
    online: NDArray[np.float32]
    appetite: NDArray[np.float32]
    buys: NDArray[np.bool_]


def section_demand() -> Floats:
    """P(section | persona), (personas, sections): what a persona buys, spread over the sections by their articles."""
    groups = np.array([words.INDEXES[code][1] for code in words.table("sections")["index"]])
    share = words.shares("sections")
    demand = np.zeros((len(PERSONAS), len(share)))
    for column, group in enumerate(GROUPS):
        mine = groups == group
        demand[:, mine] = PERSONAS[:, [column]] * share[mine] / share[mine].sum()
    return demand


def build(n: int, seed: np.random.SeedSequence) -> Customers:
    """n customers with persistent tastes."""
    rng = np.random.default_rng(seed)
    age = draw_ages(rng, n)
    edges = np.cumsum(PERSONAS_AT_AGE, 1)[np.digitize(age, [30, 46])]
    persona = (rng.random((n, 1)) > edges[:, :-1]).sum(1).astype(np.uint8)
    favourites = np.empty((n, FAVOURITES), np.uint8)
    for number, demand in enumerate(np.cumsum(section_demand(), 1)):
        mine = np.flatnonzero(persona == number)
        favourites[mine] = np.searchsorted(demand[:-1], rng.random((len(mine), FAVOURITES)) * demand[-1])
    style = rng.normal(0, 1, (n, STYLE)).astype(np.float32)
    style[:, -1] += ((age - 36) / 20).astype(np.float32)
    buys = np.ones(n, bool)
    buys[rng.choice(n, round(n * NEVER_BOUGHT), replace=False)] = False
    return Customers(
        frame=frame(rng, n, age),
        persona=persona,
        favourites=favourites,
        style=style,
        online=rng.beta(1.1, 0.45, n).astype(np.float32),
        appetite=rng.normal(0, 0.35, n).astype(np.float32),
        buys=buys,
    )


def draw_ages(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Ages: half in their twenties, a third around fifty, the rest between; 16 to 99."""
    group = rng.choice(3, n, p=[0.47, 0.18, 0.35])
    age = rng.normal(np.array([24.3, 35.0, 52.5])[group], np.array([3.4, 6.0, 8.0])[group])
    return np.clip(np.round(age), 16, 99).astype(np.int64)


def hex_ids(rng: np.random.Generator, n: int, ordered: bool) -> pl.Series:
    """n ids of 64 hexadecimal digits, in ascending order if asked to."""
    head = rng.integers(0, 2**64, n, np.uint64)
    raw = np.frombuffer(rng.bytes(32 * n), np.uint8).reshape(n, 32).copy()
    raw[:, :8] = (np.sort(head) if ordered else head).astype(">u8").view(np.uint8).reshape(n, 8)
    digits = pa.py_buffer(raw.tobytes().hex().encode())
    offsets = pa.py_buffer(np.arange(0, 64 * n + 1, 64, dtype=np.int64))
    return pl.Series(pa.LargeStringArray.from_buffers(n, offsets, digits))


def frame(rng: np.random.Generator, n: int, age: NDArray[np.int64]) -> pl.DataFrame:
    """The seven columns of customers.csv; FN and Active are 1.0 or empty."""
    news = rng.choice(4, n, p=[0.6595, 0.3282, 0.0006, 0.0117])
    reads = np.isin(news, [1, 2])
    fn = np.where(reads, rng.random(n) < 0.985, rng.random(n) < 0.012)
    codes = hex_ids(rng, max(1, round(n * 0.257)), ordered=False)
    postal = np.where(rng.random(n) < 0.088, 0, rng.integers(0, len(codes), n))
    choices = {
        "club": ["ACTIVE", "PRE-CREATE", "LEFT CLUB", None],
        "news": ["NONE", "Regularly", "Monthly", None],
    }
    club = rng.choice(4, n, p=[0.9203, 0.0750, 0.0003, 0.0044])
    return pl.DataFrame({
        "customer_id": hex_ids(rng, n, ordered=True),
        "FN": pl.Series(np.where(fn, 1.0, np.nan)).fill_nan(None),
        "Active": pl.Series(np.where(fn & (rng.random(n) < 0.974), 1.0, np.nan)).fill_nan(None),
        "club_member_status": pl.Series(choices["club"]).gather(club),
        "fashion_news_frequency": pl.Series(choices["news"]).gather(news),
        "age": pl.Series(age).set(pl.Series(rng.random(n) < 0.009), None),
        "postal_code": codes.gather(postal),
    })  # fmt: skip
