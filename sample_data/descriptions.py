"""Names of products and the sentences that describe them: garment, fabric, colour and pattern are always said."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
FULL_LENGTH = 764  # the longest real description
NULL_SHARE = 416 / 105_542
STARTS = [
    "Al", "Bea", "Cal", "Da", "El", "Fi", "Ga", "Hel", "In", "Jo", "Ka", "Li", "Mar", "Nor", "Ol", "Pe", "Ri", "Sol",
    "Ti", "Va", "Wil", "Yo", "Ze", "Bri", "Cle", "Fre", "Lo", "Mi", "Ro", "Sa", "Dor", "Em", "Gre", "Hu", "Is", "Ju",
]  # fmt: skip
ENDS = [
    "ba", "cy", "da", "fe", "ga", "ia", "ka", "la", "ma", "na", "no", "pa", "ra", "ria", "sa", "son", "ta", "tte",
    "va", "wa", "ya", "zo", "belle", "lin", "mond", "ric", "ley", "nia", "vis", "dra", "mo", "que", "tan", "ven",
]  # fmt: skip
QUALITIES = ["", "", "", "basic ", "fancy ", "slim ", "relaxed ", "soft ", "classic ", "cropped ", "long ", "2-pack "]
FABRICS = {
    "jersey": [
        "soft cotton jersey",
        "organic cotton jersey",
        "ribbed jersey",
        "viscose jersey",
        "sweatshirt fabric",
    ],
    "knit": ["a soft rib knit", "a fine-knit wool blend", "a chunky knit", "fine-knit cotton"],
    "blouse": ["an airy viscose weave", "crêpe chiffon", "satin", "a cotton and linen weave"],
    "shirt": ["cotton poplin", "a linen blend", "soft flannel", "easy-iron cotton"],
    "trousers": ["stretch twill", "cotton twill", "a viscose blend", "stretch jersey"],
    "shorts": ["cotton twill", "light sweatshirt fabric", "a linen weave"],
    "skirt": ["a crêpe weave", "pleated jersey", "cotton twill"],
    "dress": ["a crinkled viscose weave", "jersey", "satin", "chiffon"],
    "outdoor": ["padded nylon", "a wool blend", "water-repellent fabric", "cotton twill"],
    "tailoring": ["a stretch weave", "a wool weave", "linen"],
    "lingerie": ["microfibre", "cotton jersey", "mesh and lace"],
    "night": ["soft jersey", "satin", "cotton flannel"],
    "socks": ["a fine cotton knit", "soft terry", "20 denier nylon"],
    "swim": ["recycled polyester", "ribbed swim fabric"],
    "shoes": ["imitation leather", "imitation suede", "cotton canvas"],
    "accessory": ["imitation leather", "metal", "cotton canvas", "a soft knit"],
    "set": ["soft organic cotton", "jersey"],
    "other": ["sturdy material"],
}
WORN = [
    "Regular fit.",
    "Slightly wider fit.",
    "Fully lined.",
    "Unlined.",
    "Made partly from recycled material.",
    "Designed for comfort.",
    "The cotton is organic.",
    "Size 10 cm wider at the hem.",
    "Soft brushed inside.",
]
UPPER = [
    "Round neckline and short sleeves.",
    "V-neck and long sleeves.",
    "Narrow shoulder straps and a straight hem.",
    "Buttons down the front and a chest pocket.",
    "Dropped shoulders and ribbing at the cuffs and hem.",
    "Collar, long sleeves with buttoned cuffs and a rounded hem.",
    "Slits in the sides.",
    "A small stand-up collar and a zip down the front, with pockets in the side seams.",
]
LOWER = [
    "High waist, zip fly with a button and side pockets.",
    "Elasticated waist with a drawstring.",
    "Back pockets and straight legs.",
    "Low waist and tapered legs.",
    "Covered elastication at the waist.",
]
SMALL = [
    "Adjustable fastening.",
    "Metal fastening at the back.",
    "Width 3 cm.",
    "One inner compartment with a zip.",
    "Elasticated edges.",
    "Decorative seams.",
]
DETAILS = {
    **dict.fromkeys(["jersey", "knit", "blouse", "shirt", "outdoor", "tailoring", "dress", "night", "set"], UPPER),
    **dict.fromkeys(["trousers", "shorts", "skirt"], LOWER),
    **dict.fromkeys(["lingerie", "socks", "swim", "shoes", "accessory", "other"], SMALL),
}


def names(rng: np.random.Generator, product_code: Ints, garment: pl.Series) -> list[str]:
    """prod_name of each article: the same for every variant of a product."""
    first, product = (
        np.unique(product_code, return_index=True)[1],
        np.unique(product_code, return_inverse=True)[1],
    )
    starts, ends = rng.integers(len(STARTS), size=len(first)), rng.integers(len(ENDS), size=len(first))
    qualities = rng.integers(len(QUALITIES), size=len(first))
    of_product = [
        f"{STARTS[s]}{ENDS[e]} {QUALITIES[q]}{name.lower()}"
        for s, e, q, name in zip(starts, ends, qualities, garment.gather(first), strict=True)
    ]
    return [of_product[p] for p in product]


def texts(rng: np.random.Generator, product_code: Ints, kind: pl.DataFrame, appearance: pl.DataFrame,
          colour: pl.Series) -> list[str | None]:  # fmt: skip
    """detail_desc of each article; variants of a product differ in colour and pattern only; 0.4 % have none."""
    product = np.unique(product_code, return_inverse=True)[1]
    choice = rng.random((product.max() + 1, 3))[product]
    sentences = 1 + rng.geometric(0.38, product.max() + 1)[product]
    missing = np.zeros(len(product), bool)
    missing[rng.choice(len(product), round(len(product) * NULL_SHARE), replace=False)] = True
    result: list[str | None] = []
    columns = (kind["name"], kind["kind"], appearance["words"], colour, choice, sentences, missing)
    for garment, what, pattern, shade, (u, v, w), count, absent in zip(*columns, strict=True):
        fabrics, details = FABRICS[what], DETAILS[what]
        more = details[int(v * len(details)) :] + WORN[int(w * len(WORN)) :] + details
        text = f"{garment} in {fabrics[int(u * len(fabrics))]}, {shade.lower()}, {pattern}."
        result.append(None if absent else " ".join([text, *more[: count - 1]])[:FULL_LENGTH])
    return result
