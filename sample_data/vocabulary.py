"""The words of the catalogue (product types, colours, appearances, sections) and how often each occurs.

The tables lie beside this module as CSV: `articles` is the number of articles a value has in a catalogue of 105,542.
Values that exclude each other (no swimwear in Mens Outerwear, few red jeans) are joined by `fit_margins`.
"""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

INDEXES = {  # code -> (name, index group, audience letter used in product_types.csv)
    "A": ("Ladieswear", 1, "L"),
    "B": ("Lingeries/Tights", 1, "L"),
    "C": ("Ladies Accessories", 1, "L"),
    "D": ("Divided", 2, "D"),
    "F": ("Menswear", 3, "M"),
    "G": ("Baby Sizes 50-98", 4, "B"),
    "H": ("Children Sizes 92-140", 4, "B"),
    "I": ("Children Sizes 134-170", 4, "B"),
    "J": ("Children Accessories, Swimwear", 4, "B"),
    "S": ("Sport", 26, "S"),
}
INDEX_GROUPS = {1: "Ladieswear", 2: "Divided", 3: "Menswear", 4: "Baby/Children", 26: "Sport"}
GARMENT_GROUPS = {
    "Unknown": 1001, "Jersey Basic": 1002, "Knitwear": 1003, "Special Offers": 1004, "Jersey Fancy": 1005,
    "Woven/Jersey/Knitted mix Baby": 1006, "Outdoor": 1007, "Dressed": 1008, "Trousers": 1009, "Blouses": 1010,
    "Shirts": 1011, "Skirts": 1012, "Dresses Ladies": 1013, "Dresses/Skirts girls": 1014, "Shorts": 1015,
    "Trousers Denim": 1016, "Under-, Nightwear": 1017, "Swimwear": 1018, "Accessories": 1019, "Shoes": 1020,
    "Socks and Tights": 1021,
}  # fmt: skip
GARMENT_GROUP_OF_KIND = {
    "accessory": "Accessories", "blouse": "Blouses", "dress": "Dresses Ladies", "jersey": "Jersey Fancy",
    "knit": "Knitwear", "lingerie": "Under-, Nightwear", "night": "Under-, Nightwear", "other": "Unknown",
    "outdoor": "Outdoor", "set": "Woven/Jersey/Knitted mix Baby", "shirt": "Shirts", "shoes": "Shoes",
    "shorts": "Shorts", "skirt": "Skirts", "socks": "Socks and Tights", "swim": "Swimwear",
    "tailoring": "Dressed", "trousers": "Trousers",
}  # fmt: skip
APART = {
    "lingerie",
    "night",
    "socks",
    "swim",
    "shoes",
    "accessory",
    "other",
    "set",
}  # kinds that "*" leaves out
DENIM_KINDS = {"trousers", "shorts", "skirt", "outdoor", "shirt", "dress", "blouse"}
KNITTED_KINDS = {"knit", "jersey", "socks", "trousers", "night", "accessory"}


@cache
def table(name: str) -> pl.DataFrame:
    """One vocabulary table: `product_types`, `colours`, `appearances` or `sections`."""
    texts = {"code": pl.String, "rgb": pl.String}
    return pl.read_csv(Path(__file__).parent / "vocabulary" / f"{name}.csv", schema_overrides=texts)


def shares(name: str) -> Floats:
    """The share of articles of each row of a vocabulary table; sums to 1."""
    articles = table(name)["articles"].to_numpy().astype(float)
    return articles / articles.sum()


def fit_margins(affinity: Floats, rows: Floats, columns: Floats, rounds: int = 200) -> Floats:
    """The joint distribution nearest to `affinity` with these row and column sums (iterative proportional fitting)."""
    joint = affinity * rows[:, None] * columns
    for _ in range(rounds):
        joint *= (columns / np.maximum(joint.sum(0), 1e-300))[None, :]
        joint *= (rows / np.maximum(joint.sum(1), 1e-300))[:, None]
    return joint / joint.sum()


@cache
def sections_by_types() -> Floats:
    """P(section, product type): a section takes the kinds it lists, for its audience only."""
    sections, types = table("sections"), table("product_types")
    affinity = np.zeros((len(sections), len(types)))
    for i, section in enumerate(sections.iter_rows(named=True)):
        kinds = set(section["kinds"].split())
        audience = INDEXES[section["index"]][2]
        for j, product_type in enumerate(types.iter_rows(named=True)):
            kind = product_type["kind"]
            fits = kind in kinds or ("*" in kinds and kind not in APART)
            affinity[i, j] = fits and audience in product_type["audience"]
    return fit_margins(affinity, shares("sections"), shares("product_types"))


@cache
def types_by_appearances() -> Floats:
    """P(product type, appearance): denim for what is made of denim, melange for what is knitted, prints for cloth."""
    types, appearances = table("product_types"), table("appearances")
    affinity = np.ones((len(types), len(appearances)))
    for i, kind in enumerate(types["kind"]):
        for j, drawing in enumerate(appearances["drawing"]):
            if drawing == "denim":
                affinity[i, j] = kind in DENIM_KINDS
            elif drawing == "melange":
                affinity[i, j] = 1.0 if kind in KNITTED_KINDS else 0.02
            elif kind in {"shoes", "accessory", "other"} and drawing != "solid":
                affinity[i, j] = 0.3
            elif drawing == "front":
                affinity[i, j] = 2.0 if kind == "jersey" else 0.1
    return fit_margins(affinity, shares("product_types"), shares("appearances"))


@cache
def appearances_by_colours() -> Floats:
    """P(appearance, colour group): denim is blue, black, grey or white; melange is mostly grey."""
    appearances, colours = table("appearances"), table("colours")
    affinity = np.ones((len(appearances), len(colours)))
    for i, drawing in enumerate(appearances["drawing"]):
        for j, master in enumerate(colours["master"]):
            if drawing == "denim":
                affinity[i, j] = {"Blue": 12.0, "Black": 1.0, "Grey": 1.0, "White": 0.5}.get(master, 0.02)
            elif drawing == "melange":
                affinity[i, j] = 6.0 if master == "Grey" else 0.6
    return fit_margins(affinity, shares("appearances"), shares("colours"))
