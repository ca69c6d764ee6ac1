"""What visitors did with what the shop showed, where it keeps a log: by list, and over the weeks."""

from __future__ import annotations

import polars as pl
from markupsafe import Markup

from expectations.performance import EVERY, EVERY_NUMBER, RECOMMENDATION_PERFORMANCE
from jobs.platform.job import Job
from jobs.platform.settings import WEEK
from jobs.reports import blocks, page_data, pictures
from jobs.reports.pictures import FOLD

#: Lists that the picture has a line of.
LINES = 4


def shown(job: Job) -> list[Markup]:
    """The newest week's click-through rates, and their course; nothing where there is no log.

    Lists and buckets with fewer than FOLD visitors are left out.
    """
    rows = page_data.read(job, RECOMMENDATION_PERFORMANCE).filter(pl.col("visitors") >= FOLD)
    newest = rows.sort("as_of_date").unique(
        ["week_start_date", "list", "source", "model_version", "bucket", "position"], keep="last", maintain_order=True
    )
    plain = (pl.col("source") == EVERY) & (pl.col("model_version") == EVERY) & (pl.col("position") == EVERY_NUMBER)
    lists = newest.filter(plain & (pl.col("bucket") == EVERY_NUMBER)).sort("impressions", descending=True)
    if not len(lists):
        return []
    start = lists.select(pl.col("week_start_date").max()).item()
    week = lists.filter(pl.col("week_start_date") == start)
    cells = [
        (
            row["list"], f"{row['visitors']:,}", f"{row['impressions']:,}", f"{row['click_through_rate']:.2%}",
            f"{row['click_through_rate_ci_low']:.2%} to {row['click_through_rate_ci_high']:.2%}",
            f"{row['cart_rate']:.2%}", f"{row['conversion']:.2%}",
        )
        for row in week.iter_rows(named=True)
    ]  # fmt: skip
    until = "so far" if not week["is_complete"].all() else "in all"
    made = [blocks.heading(f"What the shop showed in the week from {start}, and what visitors did with it {until}")]
    headings = ("list", "visitors", "impressions", "clicked", "95 % interval", "put in cart", "bought")
    made.append(blocks.table(headings, cells, range(1, len(headings))))
    buckets = newest.filter(plain & (pl.col("bucket") != EVERY_NUMBER) & (pl.col("week_start_date") == start))
    by_bucket = buckets.group_by("bucket").agg(rate=pl.col("clicks").sum() / pl.col("impressions").sum())
    if len(by_bucket):
        low, high = by_bucket["rate"].to_numpy().min(), by_bucket["rate"].to_numpy().max()
        made.append(blocks.text(f"Clicked by A/B bucket: {low:.2%} to {high:.2%} over {len(by_bucket)} buckets."))
    course = lists.select(
        as_of_date=pl.col("week_start_date") + WEEK,
        metric="list",
        value="click_through_rate",
        ci_low="click_through_rate_ci_low",
        ci_high="click_through_rate_ci_high",
    )
    names = {name: name for name in week["list"].to_list()[:LINES]}
    drawn = pictures.weekly(course, names, "share clicked, 95 % interval", "clicks")
    made.append(blocks.figure("Impressions that were clicked, by list", drawn, is_wide=True))
    return made
