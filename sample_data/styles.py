"""A catalogue without customers in the shape of Fashion Product Images: styles.csv and images/<id>.jpg.

With its traps: "NA" as a value of baseColour and usage, names with unquoted commas, blank seasons, styles
without a picture, an article type of one article only, pictures of 60 x 80 pixels beside a few of 1,800 x 2,400.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sample_data import catalogue
from sample_data.files import atomic
from sample_data.images import draw

HEADER = (
    *("id", "gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "year", "usage"),
    "productDisplayName",
)
SMALL, LARGE = (60, 80), (1_800, 2_400)
WITHOUT_PICTURE = 5
#: One style in so many has a comma in its name, a blank season, no colour, a picture of the large size.
COMMA, BLANK, NO_COLOUR, FULL_SIZE = 40, 150, 90, 200
BRANDS = ("Arvind", "Nordvik", "Puntella", "Kestrel", "Lumo", "Basics")
_CATEGORY = {
    "Garment Upper body": ("Apparel", "Topwear"),
    "Garment Lower body": ("Apparel", "Bottomwear"),
    "Garment Full body": ("Apparel", "Dress"),
    "Socks & Tights": ("Apparel", "Socks"),
    "Underwear": ("Apparel", "Innerwear"),
    "Nightwear": ("Apparel", "Loungewear and Nightwear"),
    "Shoes": ("Footwear", "Shoes"),
    "Accessories": ("Accessories", "Accessories"),
    "Bags": ("Accessories", "Bags"),
}
_GENDER = {"Ladieswear": "Women", "Divided": "Women", "Menswear": "Men", "Sport": "Unisex"}


def rows(shop: catalogue.Catalogue, seed: int) -> list[dict[str, str]]:
    """One record of styles.csv for each article."""
    rng = np.random.default_rng([seed, 1])
    found = []
    for n, article in enumerate(shop.frame.iter_rows(named=True)):
        master, sub = _CATEGORY.get(str(article["product_group_name"]), ("Free Items", "Free Gifts"))
        gender = _GENDER.get(str(article["index_group_name"]), ("Boys", "Girls")[n % 2])
        kind = "Umbrella Stand" if n == 0 else str(article["product_type_name"])
        colour = "NA" if n % NO_COLOUR == NO_COLOUR - 1 else str(article["perceived_colour_master_name"])
        season = "Summer" if shop.season[n] > 0 else rng.choice(["Fall", "Winter"], p=[0.6, 0.4])
        usage = (
            "Sports"
            if gender == "Unisex"
            else rng.choice(["Casual", "Formal", "Ethnic", "NA"], p=[0.8, 0.1, 0.08, 0.02])
        )
        name = f"{BRANDS[int(article['product_code']) % len(BRANDS)]} {gender} {article['prod_name']} {colour} {kind}"
        found.append(
            {
                "id": str(1163 + 2 * n),
                "gender": gender,
                "masterCategory": master,
                "subCategory": sub,
                "articleType": kind,
                "baseColour": colour,
                "season": "" if n % BLANK == 7 else str(season),
                "year": str(2011 + n % 7),
                "usage": str(usage),
                "productDisplayName": f"{name}, pack of 2, boxed" if n % COMMA == 3 else name,
            }
        )
    return found


def write(out: Path, articles: int, seed: int, progress: Callable[[int], None] = lambda _: None) -> int:
    """Write styles.csv and the pictures of so many articles below `out`; returns the number of pictures.

    The same number and seed give the same bytes.
    """
    shop = catalogue.build(articles, np.random.SeedSequence(seed))
    styles = rows(shop, seed)
    with atomic(out / "styles.csv") as file:
        lines = [",".join(HEADER), *(",".join(style[name] for name in HEADER) for style in styles)]
        file.write(("\n".join(lines) + "\n").encode())
    without = set(np.linspace(1, articles - 1, min(WITHOUT_PICTURE, articles - 1)).astype(int).tolist())
    for n, style in enumerate(styles):
        progress(1)
        if n in without:
            continue
        picture = draw(shop.shape[n], shop.drawing[n], shop.rgb[n], np.random.default_rng([seed, n]))
        size = LARGE if n % FULL_SIZE == 11 else SMALL
        picture = ImageOps.pad(picture, size, Image.Resampling.BILINEAR, color="white")
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=88)
        with atomic(out / "images" / f"{style['id']}.jpg") as file:
            file.write(jpeg.getvalue())
    return articles - len(without)
