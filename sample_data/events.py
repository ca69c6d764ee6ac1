"""The shop's log, a file a day, consistent with the purchases; and the same days as an app's analytics export.

Of every basket that was bought online there is a visit: lists of articles seen, articles looked at, put in the cart,
bought. A third of these units were looked at in a visit of an earlier day, too: of 10 orders in a public sample of
OTTO's shop 3 had been clicked half a day to two days before. Others come, look at what suits them, and buy nothing.
Devices are signed in from some moment on. What is wrong with the files is put in by number, and truth.json says how
much of what: lines that are broken, delivered twice, a day late, or of bots.
"""

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sample_data import app_log
from sample_data.calendar import DATES, DAYS
from sample_data.catalogue import Catalogue
from sample_data.customers import Customers
from sample_data.files import atomic

Ints = NDArray[np.int64]
IDLE_VISITS = 1.0  # for each one with a purchase
LOOKED_AT_BEFORE = 1 / 3  # share of the units bought online that were looked at on an earlier day
NEXT_DAY, MOST_DAYS_BEFORE = 0.4, 7  # share of such visits that were the day before; each day further back 0.6 times
LOOKED_AT = 3  # articles, on average, beside one, or beside those that are bought later
SHOWN = 4  # articles of a list, the one that is looked at among them
SECONDS_AN_ARTICLE = 90
BROKEN, TWICE, LATE = 0.02, 0.01, 0.01  # shares of a day's events
BOT_EVENTS, BOT_SECONDS = 600, 5
PLACES = [
    ("Stockholm", "Stockholm"), ("Uppsala", "Uppsala"), ("Malmö", "Skåne"), ("Lund", "Skåne"),
    ("Göteborg", "Västra Götaland"), (None, None),
]  # fmt: skip
DAMAGES = ("cut short", "no JSON", "no time", "unknown event", "no article", "before all time")


@dataclass(frozen=True)
class Sales:
    """A day's baskets: `buyer` and `online` (m,), and of each line `basket`, `article` and `cents` (n,).

    `suits` draws an article for each of some customers as their purchases are drawn.
    """

    buyer: Ints
    online: NDArray[np.bool_]
    basket: Ints
    article: Ints
    cents: Ints
    on_sale: NDArray[np.bool_]
    suits: Callable[[Ints, np.random.Generator], Ints]


@dataclass
class Day:
    """A day's visits on their way to its file.

    Attributes:
        number: of the day.
        on_sale: articles on that day.
        visitor: whose each visit is, (m,).
        visit, article, cents: of each article looked at, (n,); `cents` is -1 where it is not bought.
    """

    number: int
    on_sale: NDArray[np.bool_]
    visitor: Ints
    visit: Ints
    article: Ints
    cents: Ints

    def add(self, visitor: Ints, visit: Ints, article: Ints) -> None:
        """Further visits without a purchase."""
        self.visit = np.r_[self.visit, len(self.visitor) + visit]
        self.visitor = np.r_[self.visitor, visitor]
        self.article = np.r_[self.article, article]
        self.cents = np.r_[self.cents, np.full(len(article), -1)]


class Log:
    """Writes a day's files MOST_DAYS_BEFORE later, when it is known who looked at what they bought since."""

    def __init__(self, out: Path, shop: Catalogue, people: Customers, days: int, seed: np.random.SeedSequence) -> None:
        self._out, self._first_day = out, DAYS - days
        self._rng = np.random.default_rng(seed)
        self._shop = shop
        self._articles, self._customers = shop.frame["article_id"], people.frame["customer_id"]
        self._age = people.frame["age"].fill_null(40).to_numpy()
        self._days: deque[Day] = deque()
        self._late = pl.DataFrame()
        self._truth: Counter[str] = Counter()
        self._app_truth: Counter[str] = Counter()

    def write(self, day: int, sales: Sales) -> None:
        """Take in a day's sales, each day after the one before."""
        if day < self._first_day:
            return
        self._look_before(day, sales)
        self._days.append(self._visits(day, sales))
        while self._days[0].number <= day - MOST_DAYS_BEFORE:
            self._deliver(self._days.popleft())

    def _deliver(self, today: Day) -> None:
        """Write the day's files."""
        day = today.number
        events = self._events(today)
        late = self._rng.random(len(events)) < (LATE if day < DAYS - 1 else 0)
        self._truth.update(
            events=len(events), late=int(late.sum()), purchases=int((events["event"] == "purchase").sum())
        )
        lines = pl.concat([self._late, events.filter(~late)]) if len(self._late) else events.filter(~late)
        self._late = events.filter(late)
        bots = self._bots(today)
        whole = pl.concat([lines, bots]).sort("time")
        texts = whole.select(pl.struct(pl.all()).struct.json_encode()).to_series()
        again = texts.sample(fraction=TWICE, seed=int(self._rng.integers(2**32)))
        broken = self._broken(texts, round(BROKEN * len(texts)))
        self._truth.update(duplicates=len(again), broken=len(broken))
        with atomic(self._out / "events" / f"events_{DATES[day]}.jsonl") as file:
            pl.DataFrame({"line": pl.concat([texts, again, broken])}).sample(
                fraction=1.0, shuffle=True, seed=day
            ).write_csv(file, include_header=False, quote_style="never", separator="\x01")
        path = self._out / "app_log" / f"events_{DATES[day]}.csv"
        self._app_truth.update(app_log.write_day(path, events, bots, BROKEN, TWICE))

    def finish(self) -> None:
        """Write what is still to come, the app's products, and what was put into the files."""
        while self._days:
            self._deliver(self._days.popleft())
        if len(self._late):
            with atomic(self._out / "events" / "events_late.jsonl") as file:
                self._late.write_ndjson(file)
        self._app_truth.update(app_log.write_products(self._out / "app_log" / "products.csv", self._shop, BROKEN))
        for folder, truth in (("events", self._truth), ("app_log", self._app_truth)):
            with atomic(self._out / folder / "truth.json") as file:
                file.write(json.dumps(truth, indent=1).encode())

    def _visits(self, day: int, sales: Sales) -> Day:
        """Those in which something is bought, and the idle ones."""
        rng = self._rng
        online = np.flatnonzero(sales.online[sales.basket])
        baskets, visit = np.unique(sales.basket[online], return_inverse=True)
        found = Day(day, sales.on_sale, sales.buyer[baskets], visit, sales.article[online], sales.cents[online])
        idle = round(IDLE_VISITS * len(baskets))
        looked_at = np.repeat(np.arange(idle), 1 + rng.poisson(LOOKED_AT, idle))
        who = rng.integers(0, len(self._customers), idle)
        found.add(who, looked_at, sales.suits(who[looked_at], rng))
        return found

    def _look_before(self, day: int, sales: Sales) -> None:
        """On earlier days, a visit of those who look before they buy: at what they buy now, and at what they do not."""
        rng = self._rng
        online = np.flatnonzero(sales.online[sales.basket])
        lines = online[rng.random(len(online)) < LOOKED_AT_BEFORE]
        days_before = np.minimum(rng.geometric(NEXT_DAY, len(sales.buyer)), MOST_DAYS_BEFORE)
        baskets = np.unique(sales.basket[lines])
        others = np.repeat(baskets, rng.poisson(LOOKED_AT, len(baskets)))
        basket = np.r_[sales.basket[lines], others]
        article = np.r_[sales.article[lines], sales.suits(sales.buyer[others], rng)]
        for earlier in self._days:
            there = (days_before[basket] == day - earlier.number) & earlier.on_sale[article]
            of, visit = np.unique(basket[there], return_inverse=True)
            earlier.add(sales.buyer[of], visit, article[there])

    def _events(self, today: Day) -> pl.DataFrame:
        """A day's true events, in the log's columns."""
        rng, day = self._rng, today.number
        who, visit, article, cents = today.visitor, today.visit, today.article, today.cents
        is_bought = cents >= 0
        is_idle = np.bincount(visit[is_bought], minlength=len(who)) == 0
        on_sale = np.flatnonzero(today.on_sale)
        order = np.lexsort((rng.random(len(visit)), visit))
        visit, article, cents, is_bought = visit[order], article[order], cents[order], is_bought[order]
        first = np.flatnonzero(np.r_[True, visit[1:] != visit[:-1]])
        place = np.arange(len(visit)) - np.repeat(first, np.diff(np.r_[first, len(visit)]))
        start = rng.integers(7 * 3600, 21 * 3600, len(who))
        at = start[visit] + place * SECONDS_AN_ARTICLE
        end = start + np.bincount(visit, minlength=len(who)) * SECONDS_AN_ARTICLE
        # Signed in from the start, from the first thing put in the cart, or never.
        signed = np.where(rng.random(len(who)) < 0.5, start, end - SECONDS_AN_ARTICLE // 2)
        signed[is_idle & (rng.random(len(who)) >= 0.4)] = 10**9
        device = 2 * who + (rng.random(len(who)) < 0.2)
        in_list = rng.integers(0, SHOWN, len(visit))
        shown = np.repeat(np.arange(len(visit)), SHOWN)
        slot = np.tile(np.arange(SHOWN), len(visit))
        seen = np.where(slot == in_list[shown], article[shown], rng.choice(on_sale, len(shown)))
        carts = np.flatnonzero(is_bought | (rng.random(len(visit)) < 0.08))
        wishes = np.flatnonzero(rng.random(len(visit)) < 0.05)
        clicks = np.flatnonzero(rng.random(len(visit)) < 0.3)
        buys = np.flatnonzero(is_bought)
        every = np.arange(len(visit))
        kinds = {
            "impression": (shown, at[shown], seen), "view": (every, at + 10, article),
            "click": (clicks, at[clicks] + 20, article[clicks]),
            "wishlist": (wishes, at[wishes] + 30, article[wishes]),
            "cart": (carts, at[carts] + 40, article[carts]),
            "purchase": (buys, end[visit[buys]] + 60, article[buys]),
        }  # fmt: skip
        parts = []
        names = np.array(["search", "category", "recommendations"])[rng.integers(0, 3, len(visit))]
        for kind, (line, second, what) in kinds.items():
            of = visit[line]
            is_signed = second >= signed[of]
            is_first = is_signed & (kind == "view") & (place[line] == 0)
            is_shown = kind in ("impression", "click")
            parts.append(
                self._frame(
                    day, second, kind, what, device[of], np.where(is_signed, who[of], -1), who[of],
                    list_=pl.Series(names[line]) if is_shown else None,
                    position=pl.Series(slot if kind == "impression" else in_list[line]) if is_shown else None,
                    cents=pl.Series(cents[line]) if kind == "purchase" else None,
                    birth=pl.Series(is_first & (rng.random(len(line)) < 0.3)),
                )
            )  # fmt: skip
        events = pl.concat(parts)
        ids = pl.Series([f"{day:03x}"]).new_from_index(0, len(events)) + pl.int_range(len(events), eager=True).cast(
            pl.String
        )
        return events.with_columns(event_id=ids)

    def _frame(
        self, day: int, second: Ints, kind: str, article: Ints, device: Ints, customer: Ints, who: Ints, *,
        list_: pl.Series | None, position: pl.Series | None, cents: pl.Series | None, birth: pl.Series,
    ) -> pl.DataFrame:  # fmt: skip
        n = len(second)
        moment = pl.Series(np.datetime64(DATES[day], "ms") + (second * 1000).astype("timedelta64[ms]"))
        cities, regions = (pl.Series([each[k] for each in PLACES], dtype=pl.String) for k in (0, 1))
        place = who % len(PLACES)
        born = pl.Series(2019 - self._age[who]).cast(pl.String) + "-06-15"
        nothing = pl.Series([None]).new_from_index(0, n)
        is_known = self._rng.random(n) < 0.7
        return pl.DataFrame({
            "event_id": nothing.cast(pl.String),
            "time": moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
            "event": pl.Series([kind]).new_from_index(0, n),
            "visitor_id": "d" + pl.Series(device).cast(pl.String),
            "customer_id": self._customers.gather(np.maximum(customer, 0)).set(pl.Series(customer < 0), None),
            "article_id": self._articles.gather(article),
            "list": nothing.cast(pl.String) if list_ is None else list_,
            "position": nothing.cast(pl.Int64) if position is None else position.cast(pl.Int64),
            "quantity": pl.Series([1 if kind == "purchase" else None], dtype=pl.Int64).new_from_index(0, n),
            "price": nothing.cast(pl.Float64) if cents is None else cents / 100,
            "currency": pl.Series(["SEK" if kind == "purchase" else None], dtype=pl.String).new_from_index(0, n),
            "city": cities.gather(place).set(pl.Series(~is_known), None),
            "region": regions.gather(place),
            "birth_date": born.set(~birth, None),
        })  # fmt: skip

    def _bots(self, today: Day) -> pl.DataFrame:
        """The views of a bot, some thousand an hour."""
        day = today.number
        second = 3 * 3600 + np.arange(BOT_EVENTS) * BOT_SECONDS
        article = self._rng.choice(np.flatnonzero(today.on_sale), BOT_EVENTS)
        none, zero = np.full(BOT_EVENTS, -1), np.zeros(BOT_EVENTS, np.int64)
        frame = self._frame(
            day, second, "view", article, none, none, zero,
            list_=None, position=None, cents=None, birth=pl.Series(np.zeros(BOT_EVENTS, bool)),
        )  # fmt: skip
        self._truth.update(bots=1, bot_events=BOT_EVENTS)
        ids = pl.Series([f"b{day:03x}-"]).new_from_index(0, BOT_EVENTS) + pl.int_range(BOT_EVENTS, eager=True).cast(
            pl.String
        )
        return frame.with_columns(event_id=ids, visitor_id=pl.lit(f"bot{day}"))

    def _broken(self, texts: pl.Series, count: int) -> pl.Series:
        """Lines that nobody can believe, each damaged in one of the DAMAGES."""
        of = texts.sample(count, with_replacement=True, seed=int(self._rng.integers(2**32))).to_list()
        ways = [DAMAGES[n % len(DAMAGES)] for n in range(count)]
        return pl.Series([damaged(text, way) for text, way in zip(of, ways, strict=True)], dtype=pl.String)


def damaged(text: str, way: str) -> str:
    """A line of the log, damaged."""
    event: dict[str, Any] = json.loads(text)
    if way == "cut short":
        return text[: len(text) // 2]
    if way == "no JSON":
        return "<html>503 Service Unavailable</html>"
    changes: dict[str, dict[str, Any]] = {
        "no time": {"time": None},
        "unknown event": {"event": "wink"},
        "no article": {"article_id": None},
        "before all time": {"time": "1970-01-01T00:00:00.000Z"},
    }
    return json.dumps(event | changes[way])
