"""articles.csv: products in colour variants, with what the shop never writes down (launch, popularity, style)."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sample_data import articles as columns
from sample_data import vocabulary as words
from sample_data.calendar import DAYS, summer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FULL_ARTICLES, FULL_PRODUCTS = 105_542, 47_224
STYLE = 8  # dimensions of taste: colour 3, pattern 2, product type 2, price 1


@dataclass(frozen=True)
class Catalogue:
    """n articles in the order of articles.csv: `frame` is the file, the arrays (n,) are hidden from it.

    `launch` and `decay` are in days from the first day of sales, `season` runs from -4 (deep winter) to 4 (high
    summer), `price` is in cents before scaling, `style` (n, STYLE) is what tastes are matched against, and
    `companion` is the article often put in the same basket.
    """

    frame: pl.DataFrame
    section: Ints
    launch: Floats
    decay: Floats
    popularity: Floats
    season: Floats
    price: Ints
    style: NDArray[np.float32]
    companion: Ints
    shape: list[str]
    drawing: list[str]
    rgb: list[str]

    def appeal(self, day: int) -> Floats:
        """Weight of each article (n,) on a day: popularity x life cycle x season; 0 before launch and after its end."""
        age = day - self.launch
        life = np.minimum(1.0, 0.4 + age / 10) * np.exp(-np.maximum(age, 0) / self.decay)
        life[(age < 0) | (age > 20 + 4 * self.decay)] = 0
        return self.popularity * life * np.exp(0.45 * self.season * summer(day))


def quota(rng: np.random.Generator, weights: Floats, n: int) -> Ints:
    """n draws of an index with these weights, in random order, each within one of its expected count."""
    edges = np.cumsum(weights) / weights.sum()
    draws = np.searchsorted(edges, (np.arange(n) + rng.random()) / n)
    return rng.permutation(np.minimum(draws, len(weights) - 1))


def draw_rows(rng: np.random.Generator, joint: Floats, given: Ints) -> Ints:
    """One column of `joint` for each given row, with the probabilities of that row."""
    chosen = np.zeros(len(given), np.int64)
    for row in np.unique(given):
        mine = np.flatnonzero(given == row)
        chosen[mine] = quota(rng, joint[row], len(mine))
    return chosen


def build(articles: int, seed: np.random.SeedSequence) -> Catalogue:
    """A catalogue of that many articles."""
    rng = np.random.default_rng(seed)
    products = max(1, round(articles * FULL_PRODUCTS / FULL_ARTICLES))
    section, kind = draw_products(rng, products)
    launched = draw_launches(rng, kind)
    product = np.sort(np.r_[np.arange(products), variants(rng, products, articles - products)])
    product_code = draw_codes(rng, launched)
    product = product[np.argsort(product_code[product], kind="stable")]
    first = np.r_[True, product[1:] != product[:-1]]
    steps = np.cumsum(rng.integers(1, 4, articles))
    number = 1 + steps - steps[np.maximum.accumulate(np.where(first, np.arange(articles), 0))]
    appearance = np.where(
        rng.random(articles) < 0.85,
        draw_rows(rng, words.types_by_appearances(), kind)[product],
        draw_rows(rng, words.types_by_appearances(), kind[product]),
    )
    colour = draw_rows(rng, words.appearances_by_colours(), appearance)
    types = words.table("product_types")
    late = np.where(first | (rng.random(articles) < 0.6), 0, rng.integers(5, 90, articles))
    price = draw_prices(rng, types["price"].to_numpy()[kind], section)[product]
    looks = columns.Looks(section[product], kind[product], appearance, colour)
    popularity = np.exp(rng.normal(0, 1.55, products)[product] + rng.normal(0, 0.95, articles))
    return Catalogue(
        frame=columns.frame(rng, product_code[product], number, looks),
        section=section[product],
        launch=(launched[product] + late).astype(float),
        decay=np.where(rng.random(products) < 0.08, 500, rng.lognormal(np.log(36), 0.55, products))[product],
        popularity=popularity / (1 + popularity / 90),
        season=types["season"].to_numpy()[kind[product]].astype(float),
        price=price,
        style=styles(kind[product], appearance, colour, price),
        companion=companions(rng, section[product], launched[product]),
        shape=types["shape"].gather(kind[product]).to_list(),
        drawing=words.table("appearances")["drawing"].gather(appearance).to_list(),
        rgb=words.table("colours")["rgb"].gather(colour).to_list(),
    )


def draw_products(rng: np.random.Generator, products: int) -> tuple[Ints, Ints]:
    """Section and product type (row of its table) of each product; a big catalogue has every type at least once."""
    joint = words.sections_by_types()
    cells = quota(rng, joint.ravel(), products)
    section, kind = np.divmod(cells, joint.shape[1])
    if products > 40 * joint.shape[1]:
        missing = np.setdiff1d(np.arange(joint.shape[1]), kind)
        section[: len(missing)], kind[: len(missing)] = joint[:, missing].argmax(0), missing
    return section, kind


def variants(rng: np.random.Generator, products: int, extra: int) -> Ints:
    """The product of each further colour variant: most products have one to three, basics have dozens."""
    return quota(rng, rng.lognormal(0, 1.1, products), extra)


def draw_launches(rng: np.random.Generator, kind: Ints) -> Floats:
    """Launch day of each product, mostly ahead of its season; some before the first day, some after the last."""
    season = words.table("product_types")["season"].to_numpy()[kind].astype(float)
    candidates = rng.uniform(-110, DAYS + 10, (3, len(kind)))
    merit = 0.45 * season * summer(candidates + 45) + rng.gumbel(0, 1, candidates.shape)
    return np.floor(np.take_along_axis(candidates, merit.argmax(0)[None], 0)[0])


def draw_codes(rng: np.random.Generator, launched: Floats) -> Ints:
    """Seven-digit product codes (without the leading zero), roughly in the order of launch."""
    free = np.sort(rng.choice(np.arange(108_776, 959_462), len(launched) - 1, replace=False))
    codes = np.empty(len(launched), np.int64)
    codes[np.argsort(launched + rng.normal(0, 40, len(launched)), kind="stable")] = np.r_[108_775, free]
    return codes


def draw_prices(rng: np.random.Generator, typical: Floats, section: Ints) -> Ints:
    """Full price of each product in cents, ending in 99: children's wear cheaper, tailoring and premium dearer."""
    index = words.table("sections")["index"].gather(section).to_numpy()
    premium = words.table("sections")["name"].gather(section).str.contains("Premium|Edition|Collab|Studio").to_numpy()
    factor = np.where(np.isin(index, list("GHIJ")), 0.7, np.where(index == "F", 1.1, 1.0))
    price = 0.92 * typical * factor * np.where(premium, 1.9, 1.0) * rng.lognormal(0, 0.24, len(typical))
    return (np.clip(np.round(price), 1, 199) * 100 - 1).astype(np.int64)


def styles(kind: Ints, appearance: Ints, colour: Ints, price: Ints) -> NDArray[np.float32]:
    """Style of each article (n, STYLE), each dimension standardised: the same looks always give the same style."""
    rng = np.random.default_rng(0)  # fixed: what a look means does not depend on the seed of the data
    rgb = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in words.table("colours")["rgb"]], float)
    pattern = rng.normal(size=(30, 2)) * np.where(np.arange(30) == 0, 0.0, 1.0)[:, None]
    garment = rng.normal(size=(len(words.table("product_types")), 2))
    style = np.column_stack([rgb[colour], pattern[appearance], garment[kind], np.log(price)])
    return ((style - style.mean(0)) / (style.std(0) + 1e-9)).astype(np.float32)


def companions(rng: np.random.Generator, section: Ints, launched: Floats) -> Ints:
    """An article of the same section launched at about the same time, for each article: what it is worn with."""
    order = np.lexsort((launched + rng.normal(0, 10, len(section)), section))
    companion = np.empty(len(section), np.int64)
    pairs = np.arange(len(section)) ^ 1
    companion[order] = order[np.minimum(pairs, len(section) - 1)]
    return np.where(section[companion] == section, companion, np.arange(len(section)))
