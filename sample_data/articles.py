"""The 25 columns of articles.csv, from what each article looks like and where it hangs."""

from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sample_data import descriptions
from sample_data import vocabulary as words

Ints = NDArray[np.int64]
OWN_NAME = 221  # departments with a name of their own; smaller ones share one across the sections of an index group
DEPARTMENTS = 299


class Looks(NamedTuple):
    """Rows of the vocabulary tables, one per article (n,)."""

    section: Ints
    product_type: Ints
    appearance: Ints
    colour: Ints


@cache
def departments() -> pl.DataFrame:
    """Section x garment group -> number and name of the department: 299 of them under 250 names."""
    joint, kinds = words.sections_by_types(), words.table("product_types")["kind"]
    share: dict[tuple[int, str], float] = {}
    for section, product_type in zip(*(axis.tolist() for axis in np.nonzero(joint)), strict=True):
        key = (section, words.GARMENT_GROUP_OF_KIND[kinds[product_type]])
        share[key] = share.get(key, 0) + joint[section, product_type]
    by_share = sorted(share, key=lambda key: -share[key])
    jersey = [section for section, group in by_share if group == "Jersey Fancy"]
    by_share = [(section, "Jersey Basic") for section in jersey[: DEPARTMENTS - len(share)]] + by_share
    sections = words.table("sections")
    rows = []
    for rank, (section, group) in enumerate(by_share):
        owner = sections["name"][section]
        if rank >= OWN_NAME:
            owner = words.INDEX_GROUPS[words.INDEXES[sections["index"][section]][1]]
        rows.append((section, group, 1000 + 31 * rank, f"{owner} {group}"))
    return pl.DataFrame(rows, schema=["section", "base_group", "department_no", "department_name"], orient="row")


def frame(rng: np.random.Generator, product_code: Ints, number: Ints, looks: Looks) -> pl.DataFrame:
    """articles.csv in its order; what the real file pads with zeros (ids, product code, colour code) is a string.

    `product_code` (n,) is sorted and `number` (n,) is the variant within the product.
    """
    section, kind = words.table("sections")[looks.section], words.table("product_types")[looks.product_type]
    appearance, colour = words.table("appearances")[looks.appearance], words.table("colours")[looks.colour]
    schema = ["name", "group", "audience"]
    index = pl.DataFrame([words.INDEXES[code] for code in section["index"]], schema=schema, orient="row")
    master_id = {name: number for number, name in enumerate(words.table("colours")["master"].unique().sort(), 1)}
    value_id = {name: number for number, name in enumerate(words.table("colours")["value"].unique().sort(), 1)}
    codes = pl.Series(product_code).cast(pl.String).str.zfill(7)
    filed = garment_groups(rng, looks, section, kind, appearance, index)
    return pl.DataFrame({
        "article_id": codes + pl.Series(number).cast(pl.String).str.zfill(3),
        "product_code": codes,
        "prod_name": descriptions.names(rng, product_code, kind["name"]),
        "product_type_no": 49 + 7 * looks.product_type,
        "product_type_name": kind["name"],
        "product_group_name": kind["group"],
        "graphical_appearance_no": 1_010_001 + looks.appearance,
        "graphical_appearance_name": appearance["name"],
        "colour_group_code": colour["code"],
        "colour_group_name": colour["name"],
        "perceived_colour_value_id": colour["value"].replace_strict(value_id),
        "perceived_colour_value_name": colour["value"],
        "perceived_colour_master_id": colour["master"].replace_strict(master_id),
        "perceived_colour_master_name": colour["master"],
        "department_no": filed["department_no"],
        "department_name": filed["department_name"],
        "index_code": section["index"],
        "index_name": index["name"],
        "index_group_no": index["group"],
        "index_group_name": index["group"].replace_strict(words.INDEX_GROUPS),
        "section_no": section["no"],
        "section_name": section["name"],
        "garment_group_no": filed["garment_group"].replace_strict(words.GARMENT_GROUPS),
        "garment_group_name": filed["garment_group"],
        "detail_desc": descriptions.texts(rng, product_code, kind, appearance, colour["name"]),
    })  # fmt: skip


def garment_groups(rng: np.random.Generator, looks: Looks, section: pl.DataFrame, kind: pl.DataFrame,
                   appearance: pl.DataFrame, index: pl.DataFrame) -> pl.DataFrame:  # fmt: skip
    """Garment group and department of each article."""
    has_basics = pl.Series(looks.section).is_in(departments().filter(base_group="Jersey Basic")["section"].implode())
    what, audience = kind["kind"], index["audience"]
    article = pl.DataFrame({
        "section": looks.section,
        "base_group": what.replace_strict(words.GARMENT_GROUP_OF_KIND),
        "jersey_basic": (what == "jersey") & (appearance["name"] == "Solid") & has_basics,
        "denim": what.is_in(["trousers", "shorts", "skirt"]) & (appearance["drawing"] == "denim"),
        "girls": what.is_in(["dress", "skirt"]) & (audience == "B"),
        "baby": (section["index"] == "G") & what.is_in(["jersey", "knit", "trousers", "blouse"]),
        "offer": rng.random(len(kind)) < 0.01,
    })  # fmt: skip
    article = article.with_columns(
        base_group=pl.when("jersey_basic").then(pl.lit("Jersey Basic")).otherwise("base_group"),
    ).with_columns(
        garment_group=pl.when("offer").then(pl.lit("Special Offers"))
        .when("baby").then(pl.lit("Woven/Jersey/Knitted mix Baby"))
        .when("denim").then(pl.lit("Trousers Denim"))
        .when("girls").then(pl.lit("Dresses/Skirts girls"))
        .otherwise("base_group"),
    )  # fmt: skip
    return article.join(departments(), on=["section", "base_group"], how="left", maintain_order="left")
