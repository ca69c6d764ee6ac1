"""The shop's days as an app's analytics export: seconds since 1970, ids hidden in texts, and much that is of no use."""

from pathlib import Path

import polars as pl

from sample_data.catalogue import Catalogue
from sample_data.files import atomic

#: Event -> name and button in the app's export; what is not here is not in it.
APP_NAMES = {
    "view": ("product_details_page_View", ""),
    "click": ("product_similar_items_clicking", "product_itself"),
    "wishlist": ("generic_clicking", "heart_button"),
    "cart": ("generic_clicking", "bag_button"),
}
APP_COLUMNS = [
    "time",
    "event_name",
    "distinct_id",
    "carrier",
    "city",
    "device_id",
    "model",
    "region",
    "duration",
    "Page_Name",
    "User_ID",
    "products_Number",
    "ae_session_length",
    "Popup_Name",
    "Choice",
    "Answer",
    "product_package",
    "Rating_Result",
    "from_where",
    "sort_values",
    "Filter_Values",
    "product_ids",
    "session_time",
    "question",
    "value",
    "section_category",
    "section_name",
    "button_name1",
    "event_category",
    "screen_name",
    "event_month",
    "event_week",
    "event_day",
    "event_year",
    "event_date",
    "view_section_category",
    "view_section_name",
    "explore_section_name",
    "order_id",
    "order_status",
    "number_of_items",
    "order_price",
    "order_refund",
    "unique_id",
]


def write_day(path: Path, events: pl.DataFrame, bots: pl.DataFrame, broken: float, twice: float) -> dict[str, int]:
    """Write a day's file, in which some rows have no time and some come twice; returns how many of each there are.

    Args:
        path: the file.
        events: the day's true events in Atelier's shape.
        bots: those of bots.
        broken, twice: shares of rows.
    """
    kept = pl.concat([events.filter(pl.col("event").is_in(list(APP_NAMES))), bots]).sort("time")
    names = {kind: name for kind, (name, _) in APP_NAMES.items()}
    buttons = {kind: button for kind, (_, button) in APP_NAMES.items()}
    hexadecimal = pl.col("article_id").str.zfill(32)
    is_even = pl.int_range(pl.len()) % 2 == 0
    package = pl.concat_str(
        pl.lit('{"product_id": "'), hexadecimal, pl.lit('", "product_brand": "Premoda, "website": "tfk"}')
    )
    url = pl.concat_str(pl.lit("https://shop.example/product/"), hexadecimal, pl.lit("?from=app"))
    rows = kept.select(
        pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ").dt.epoch("s").cast(pl.String).alias("time"),
        pl.col("event").replace_strict(names).alias("event_name"),
        pl.col("event").replace_strict(buttons).alias("button_name1"),
        pl.col("visitor_id").alias("distinct_id"), pl.col("customer_id").alias("User_ID"), "city", "region",
        pl.when(pl.col("birth_date").is_not_null())
        .then(pl.concat_str(pl.lit("born on "), pl.col("birth_date").str.to_date().dt.strftime("%d-%m-%Y")))
        .alias("Answer"),
        pl.when(is_even).then(package).otherwise(url).alias("product_package"),
        pl.when(is_even).then(pl.concat_str(pl.lit("['"), hexadecimal, pl.lit("']"))).alias("product_ids"),
    )  # fmt: skip
    useless = rows.gather_every(3).with_columns(event_name=pl.lit("app_open"), button_name1=pl.lit(""))
    wrong = rows.gather_every(round(1 / broken)).with_columns(time=pl.lit("yesterday"))
    again = rows.gather_every(round(1 / twice))
    blank = [pl.lit(None, pl.String).alias(name) for name in APP_COLUMNS if name not in rows.columns]
    whole = pl.concat([rows, useless, wrong, again]).with_columns(*blank).select(APP_COLUMNS)
    with atomic(path) as file:
        whole.write_csv(file)
    return {
        "events": len(rows) - len(bots), "bot_events": len(bots), "bots": bots["visitor_id"].n_unique(),
        "left_out": len(useless), "broken": len(wrong), "duplicates": len(again),
    }  # fmt: skip


def write_products(path: Path, shop: Catalogue, broken: float) -> dict[str, int]:
    """Write the products with their price lists and attributes as Python prints them; returns how many there are.

    The price lists of the last `broken` of them are programs.
    """
    n = len(shop.frame)
    wrong = round(broken * n)
    price = pl.Series(shop.price / 100)
    rows = shop.frame.select(
        pl.concat_str(pl.lit('ObjectId("'), pl.col("article_id").str.zfill(32), pl.lit('")')).alias("product_id"),
        pl.when(pl.int_range(pl.len()) < n - wrong)
        .then(
            pl.concat_str(
                pl.lit("[{'value': "), price,
                pl.lit(", 'currency': 'SEK', 'is_original': True, 'valid_from': '2018/09/20',"),
                pl.lit(" 'valid_to': '2020/06/30'}, {'value': "), price * 0.5,
                pl.lit(", 'currency': 'SEK', 'is_original': False, 'valid_from': '2020/07/01', 'valid_to': False}]"),
            )
        )
        .otherwise(pl.lit("__import__('os').getcwd()"))
        .alias("prices"),
        pl.concat_str(
            pl.lit("{'_id': ObjectId(\""), pl.col("article_id").str.zfill(32), pl.lit("\"), 'Clothing-Color': ['"),
            pl.col("colour_group_name"), pl.lit("', '"), pl.col("perceived_colour_master_name"),
            pl.lit("'], 'sku': '"), pl.col("article_id"),
            pl.lit("', 'CM_product_measurements': 'size:XS;Length:74.8 cm'}"),
        ).alias("attributes"),
    )  # fmt: skip
    with atomic(path) as file:
        rows.write_csv(file)
    return {"products": n, "prices": 2 * (n - wrong), "broken_price_lists": wrong}
