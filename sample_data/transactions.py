"""transactions_train.csv: day by day, what the visitors of that day put in their baskets.

A line is drawn in two steps: a section (a favourite of the customer, or one that customers like them browse, as far as
it is in season), then the best of a few articles of that section, drawn by the day's popularity, for the customer's
style. Some lines are instead a repurchase of an article bought lately, another variant of it, the companion of the line
before it, or one more unit of it. All of a day is drawn at once; only the customers' recent articles are carried from
day to day.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sample_data.calendar import DATES, DAYS, summer
from sample_data.catalogue import STYLE, Catalogue
from sample_data.customers import Customers, section_demand
from sample_data.events import Sales
from sample_data.files import atomic
from sample_data.visits import Visits

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FAVOURITE_EDGES = np.array([0.45, 0.67, 0.78])  # of a uniform draw: first, second, third favourite; then the fourth
BROWSES = 0.14  # share of lines from outside the favourites
CANDIDATES = 4  # articles a customer looks at before taking one
PICKINESS = 0.45  # weight of style against chance among those
RECENT = 8  # last lines of a customer, any of which may be bought again
SEEN_BITS = 512  # what a customer has bought, as a set of hashes: a rare clash only makes them look further
ROUNDS = 5  # how often a customer who has an article already looks for another
REPURCHASE, VARIANT, COMPANION, ANOTHER_UNIT = 0.115, 0.125, 0.10, 0.122
FORGETTING = 30  # days after which a customer comes back to what they bought with a probability of 1/e
MEMBER_OFFER = 0.07  # share of baskets with ten to twenty-five per cent off


class Shop:
    """What is on the shelves, day by day."""

    def __init__(self, catalogue: Catalogue, rng: np.random.Generator, slots: int) -> None:
        self.catalogue, self.rng, self.slots = catalogue, rng, slots
        self.sections = section_demand().shape[1]
        self.by_section = np.argsort(catalogue.section, kind="stable")
        n = len(catalogue.section)
        self.full_price_days = np.where(catalogue.decay >= 500, 10_000, rng.integers(45, 130, n))
        self.in_sales = rng.random(n) < 0.4
        season = np.bincount(catalogue.section, catalogue.season, self.sections)
        self.season = season / np.maximum(np.bincount(catalogue.section, minlength=self.sections), 1)
        self.demand = section_demand()
        product = catalogue.frame["product_code"].to_numpy()  # ascending
        self.first_variant = np.searchsorted(product, product)
        self.variants = np.searchsorted(product, product, "right") - self.first_variant

    def open(self, day: int) -> None:
        """Fill the shelves of a day: `shelf` (sections x slots) lists articles in proportion to their appeal."""
        appeal = self.catalogue.appeal(day)
        self.on_sale = appeal > 0
        stocked = self.by_section[self.on_sale[self.by_section]]
        section = self.catalogue.section[stocked]
        total = np.bincount(section, appeal[stocked], self.sections)
        share = appeal[stocked] / total[section]
        ends = section + np.minimum(np.cumsum(share) - np.cumsum(total > 0)[section] + 1, 1)
        spots = np.arange(self.sections * self.slots)
        points = spots // self.slots + (spots % self.slots + self.rng.random()) / self.slots
        self.shelf = stocked[np.minimum(np.searchsorted(ends, points, side="right"), len(stocked) - 1)]
        heat = np.exp(0.45 * self.season * summer(day) - 0.45 * np.abs(self.season))
        self.heat = np.where(total > 0, heat, 0).astype(np.float32)
        edges = np.cumsum(self.demand * self.heat, 1)
        places = (np.arange(1024) + 0.5) / 1024
        self.window = np.stack([np.searchsorted(row, places * row[-1]) for row in edges])
        self.price = self.prices(day)

    def prices(self, day: int) -> Ints:
        """Price of each article in cents on a day: marked down in steps with age, and some in the sales."""
        age = day - self.catalogue.launch - self.full_price_days
        steps = np.array([0.0, 0.25, 0.4, 0.5, 0.6, 0.8])
        off = steps[np.clip(np.floor(age / 21) + 1, 0, 5).astype(int)]
        today = DATES[day]
        if (today.month == 6 and today.day >= 18) or (today.month == 11 and 22 <= today.day <= 29):
            off = np.where(self.in_sales, np.maximum(off, 0.2), off)
        full = self.catalogue.price
        return np.where(off > 0, np.maximum(np.floor(full * (1 - off) / 100) * 100 + 99, 99), full).astype(np.int64)


class Memory:
    """What customers have bought: the last RECENT articles of each (-1 where there is none yet), and all as hashes."""

    def __init__(self, customers: int) -> None:
        self.recent = np.full((customers, RECENT), -1, np.int32)
        self.bought = np.zeros((customers, RECENT), np.int16)
        self.count = np.zeros(customers, np.int32)
        self.seen = np.zeros((customers, SEEN_BITS // 8), np.uint8)

    def recall(self, customer: Ints, back: Ints) -> tuple[Ints, Ints]:
        """The article each customer bought `back` lines ago, and the day."""
        place = customer, (self.count[customer] - back) % RECENT
        return self.recent[place].astype(np.int64), self.bought[place].astype(np.int64)

    def knows(self, customer: Ints, article: Ints) -> NDArray[np.bool_]:
        """Whether each customer has bought the article before today."""
        return self.seen[customer, article % SEEN_BITS >> 3] >> (article & 7) & 1 == 1

    def add(self, customer: Ints, article: Ints, day: int) -> None:
        """Remember the lines of a day, sorted by customer."""
        first = np.flatnonzero(np.r_[True, customer[1:] != customer[:-1]])
        lines = np.diff(np.r_[first, len(customer)])
        rank = np.arange(len(customer)) - np.repeat(first, lines)
        place = customer, (self.count[customer] + rank) % RECENT
        self.recent[place], self.bought[place] = article, day
        self.count[customer[first]] += lines.astype(np.int32)
        bits = (1 << (article & 7)).astype(np.uint8)
        np.bitwise_or.at(self.seen, (customer, article % SEEN_BITS >> 3), bits)


def draw_sections(shop: Shop, customers: Customers, customer: Ints, rng: np.random.Generator) -> Ints:
    """The section each line comes from."""
    n = len(customer)
    favourite = customers.favourites[customer, np.searchsorted(FAVOURITE_EDGES, rng.random(n))].astype(np.int64)
    browsed = shop.window[customers.persona[customer], rng.integers(0, 1024, n)]
    stays = (rng.random(n, np.float32) > BROWSES) & (rng.random(n, np.float32) < shop.heat[favourite])
    return np.where(stays, favourite, browsed)


def draw_articles(shop: Shop, customers: Customers, customer: Ints, rng: np.random.Generator) -> Ints:
    """The article of each line: the one that suits the customer best among CANDIDATES on the shelf of its section."""
    n = len(customer)
    shelf = draw_sections(shop, customers, customer, rng) * shop.slots
    taste = customers.style[customer]
    best = shop.shelf[shelf + rng.integers(0, shop.slots, n)]
    merit = np.full(n, -np.inf, np.float32)
    chosen = best
    for _ in range(CANDIDATES):
        seen = shop.shelf[shelf + rng.integers(0, shop.slots, n)]
        liking = np.einsum("ij,ij->i", shop.catalogue.style[seen], taste) * np.float32(PICKINESS / np.sqrt(STYLE))
        liking += rng.random(n, np.float32)
        chosen = np.where(liking > merit, seen, chosen)
        merit = np.maximum(merit, liking)
    return chosen


def repeated(basket: Ints, article: Ints) -> NDArray[np.bool_]:
    """Whether the line's article is already in its basket."""
    key = basket * (article.max() + 1) + article
    order = np.argsort(key, kind="stable")
    again = np.zeros(len(key), bool)
    again[order[1:]] = key[order[1:]] == key[order[:-1]]
    return again


def fill_baskets(shop: Shop, customers: Customers, memory: Memory, day: int, basket: Ints, customer: Ints,
                 rng: np.random.Generator) -> Ints:  # fmt: skip
    """The article of each line of a day; `basket` and `customer` (n,) say whose it is, in order."""
    n = len(customer)
    article = draw_articles(shop, customers, customer, rng)
    follows = np.r_[False, basket[1:] == basket[:-1]]
    pairs = np.flatnonzero(follows & (rng.random(n, np.float32) < COMPANION))
    companion = shop.catalogue.companion[article[pairs - 1]]
    article[pairs] = np.where(shop.on_sale[companion], companion, article[pairs])
    looking = np.arange(n)
    for _ in range(ROUNDS):
        known = memory.knows(customer[looking], article[looking]) | repeated(basket, article)[looking]
        looking = looking[known]
        article[looking] = draw_articles(shop, customers, customer[looking], rng)
    again = np.flatnonzero(rng.random(n, np.float32) < REPURCHASE + VARIANT)
    before, bought = memory.recall(customer[again], 1 + rng.integers(0, RECENT, len(again)))
    other = shop.first_variant[before] + rng.integers(0, shop.variants[before])
    wanted = np.where(rng.random(len(again)) < VARIANT / (REPURCHASE + VARIANT), other, before)
    remembers = (before >= 0) & (rng.random(len(again)) < np.exp((bought - day) / FORGETTING))
    article[again] = np.where(remembers & shop.on_sale[wanted], wanted, article[again])
    unit = follows & (rng.random(n, np.float32) < ANOTHER_UNIT)
    return article[np.maximum.accumulate(np.where(unit, 0, np.arange(n)))]


def write(path: Path, catalogue: Catalogue, customers: Customers, visits: Visits, seed: np.random.SeedSequence,
          progress: Callable[[int], None], shop_lines: int,
          on_day: Callable[[int, Sales], None] | None = None) -> None:  # fmt: skip
    """Write the file, a day at a time; `progress` gets the lines of each day, `on_day` the day and its sales.

    The shelves are those of a shop that sells `shop_lines`.
    """
    rng = np.random.default_rng(seed)
    shop = Shop(catalogue, rng, slots=int(np.clip(2 ** np.ceil(np.log2(shop_lines / DAYS / 8)), 128, 4096)))
    memory = Memory(len(customers.buys))
    article_ids, customer_ids = catalogue.frame["article_id"], customers.frame["customer_id"]
    with atomic(path) as file:
        file.write(b"t_dat,customer_id,article_id,price,sales_channel_id\n")
        for day in range(DAYS):
            mine = slice(visits.start[day], visits.start[day + 1])
            size = visits.size[mine]
            if len(size) == 0:
                continue
            shop.open(day)
            buyer = visits.customer[mine]
            offer = np.where(rng.random(len(buyer)) < MEMBER_OFFER, rng.choice([0.75, 0.8, 0.9], len(buyer)), 1.0)
            channel = 1 + (rng.random(len(buyer)) < customers.online[buyer])
            basket = np.repeat(np.arange(len(buyer)), size)
            customer = buyer[basket].astype(np.int64)
            article = fill_baskets(shop, customers, memory, day, basket, customer, rng)
            memory.add(customer, article, day)
            pl.DataFrame({
                "t_dat": pl.Series([DATES[day].isoformat()]).gather(np.zeros(len(basket), np.uint32)),
                "customer_id": customer_ids.gather(customer),
                "article_id": article_ids.gather(article),
                "price": np.round(shop.price[article] * offer[basket]) / 59_000,
                "sales_channel_id": channel[basket],
            }).write_csv(file, include_header=False)  # fmt: skip
            progress(len(basket))
            if on_day:
                cents = np.round(shop.price[article] * offer[basket]).astype(np.int64)
                suits = partial(draw_articles, shop, customers)
                on_day(day, Sales(buyer.astype(np.int64), channel == 2, basket, article, cents, shop.on_sale, suits))
