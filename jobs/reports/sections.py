"""The sections of a run's page: what each shows, and how small groups are folded."""

from __future__ import annotations

import polars as pl
from markupsafe import Markup

from expectations.business import ALL, CUSTOMER_SEGMENTS, RFM_SEGMENTS
from expectations.evaluation import EVALUATION_METRICS, POOLED, REALISED_PERFORMANCE
from jobs.evaluation.protocol import ALL_BUYERS, HEADLINE_K
from jobs.platform.data_docs import site
from jobs.platform.job import Job
from jobs.publish import contact_sheet
from jobs.reports import blocks, click_through, page_data, pictures
from jobs.reports.blocks import Section
from jobs.reports.pictures import FOLD
from jobs.reports.segment_tables import MOST_ROWS, segment_table

#: Key figures: metric, name, how it is written.
KEY_FIGURES = (
    ("revenue", "Revenue", "{:,.4g}"),
    ("units", "Units", "{:,.0f}"),
    ("baskets", "Baskets", "{:,.0f}"),
    ("active_customers", "Active customers", "{:,.0f}"),
    ("new_customers", "New customers", "{:,.0f}"),
    ("retention_7d", "Back within a week", "{:.1%}"),
    ("churn_rate_90d", "Churn (90 days)", "{:.2%}"),
    ("repeat_purchase_rate", "Repeat purchase rate", "{:.1%}"),
    ("revenue_per_basket", "Revenue per basket", "{:,.4g}"),
    ("average_price", "Average price", "{:,.4g}"),
    ("discount_depth", "Discount depth", "{:.1%}"),
    ("catalogue_coverage", "Catalogue that sold", "{:.1%}"),
    ("realised_hit_rate", "Hit rate of the picks", "{:.1%}"),
    ("conversion", "Conversion of the picks", "{:.2%}"),
    ("recommended_revenue_share", "Revenue from picks", "{:.1%}"),
)
#: Customers on the page with and without purchases.
PEOPLE = (8, 2)


def change(value: float, by: float | None, form: str, words: str) -> str:
    """A change beside the value that it led to: in points where that is a share, else in percent of what was before."""
    if by is None:
        return f"no value {words}"
    if "%" in form:
        return f"{100 * by:+.1f} pts on {words}"
    return f"{by / abs(value - by):+.1%} on {words}" if value != by else f"0 {words}"


def key_figures(mine: pl.DataFrame) -> Section:
    """The week in figures, beside last week and last year."""
    rows = {row["metric"]: row for row in mine.filter(pl.col("segment_type") == ALL).iter_rows(named=True)}
    shown = [
        (name, form.format(row["value"]), change(row["value"], row["change"], form, "last week"),
         change(row["value"], row["change_52w"], form, "last year"))
        for metric, name, form in KEY_FIGURES
        if (row := rows.get(metric))
    ]  # fmt: skip
    note = "Revenue and prices are in the retailer's unit; a basket is what a customer bought on one day."
    return Section("key", "Key figures", [blocks.tiles(shown), blocks.text(note)])


def customers(job: Job, mine: pl.DataFrame, cohorts: pl.DataFrame) -> Section:
    """Who buys: by group, by cohort, by segment, and how well churn was predicted."""
    made = [blocks.heading("By age band"), segment_table(mine, "age_band")]
    made += [blocks.heading("By club membership"), segment_table(mine, "club_status")]
    made += [blocks.heading("New and returning"), segment_table(mine, "lifecycle")]
    if len(cohorts.filter(pl.col("customer_count") >= FOLD)):
        caption = "Of the customers of a month, % who bought again in each 30 days after their first purchase"
        made.append(blocks.figure(caption, pictures.cohorts(cohorts), is_wide=True))
    made.append(blocks.heading("Segments by recency, frequency and money"))
    columns = ["segment", "recency_days", "basket_count", "revenue", "churn_probability"]
    own = {"as_of_date": [job.settings.as_of_date]}
    groups = (
        job.read_arrow(CUSTOMER_SEGMENTS, columns, own)
        .group_by("segment")
        .aggregate([("segment", "count"), *((column, "mean") for column in columns[1:]), ("revenue", "sum")])
    )
    found = {row["segment"]: row for row in groups.to_pylist()}
    rows = [
        (name, f"{row['segment_count']:,}", f"{row['revenue_sum']:,.4g}", f"{row['recency_days_mean']:.0f}",
         f"{row['basket_count_mean']:.1f}",
         "" if row["churn_probability_mean"] is None else f"{row['churn_probability_mean']:.0%}")
        for name in RFM_SEGMENTS
        if (row := found.get(name)) and row["segment_count"] >= FOLD
    ]  # fmt: skip
    headings = ("segment", "customers", "revenue until now", "days since last basket", "baskets", "churn probability")
    made.append(blocks.table(headings, rows, range(1, 6)))
    made += churn(mine)
    return Section("customers", "Customers", made)


def churn(mine: pl.DataFrame) -> list[Markup]:
    """Churn as it was predicted 90 days ago beside what happened, as a table and a picture."""
    is_shown = pl.col("segment_type").is_in([ALL, "recency_band"]) & pl.col("metric").str.starts_with("churn_")
    check = mine.filter(is_shown & (pl.col("customer_count") >= FOLD) & ~pl.col("metric").str.contains("rate"))
    if not len(check.filter(pl.col("segment_type") == "recency_band")):
        return []
    wide = check.pivot("metric", index=["segment", "customer_count"], values="value")
    bands = wide.filter(pl.col("segment") != ALL).sort(
        pl.col("segment").str.starts_with("over"), pl.col("segment").str.extract(r"(\d+)").cast(pl.Int32)
    )
    rows = [
        (
            row["segment"],
            f"{row['customer_count']:,}",
            f"{row['churn_probability']:.1%}",
            f"{row['churn_realised']:.1%}",
        )
        for row in bands.iter_rows(named=True)
    ]
    made = [blocks.heading("Churn predicted 90 days ago, and what happened")]
    for row in wide.filter(pl.col("segment") == ALL).iter_rows(named=True):
        made.append(
            blocks.text(
                f"Of all: predicted {row['churn_probability']:.1%}, observed {row['churn_realised']:.1%}; mean squared"
                f" error {row['churn_brier']:.3f}, where nothing but the overall share would have"
                f" {row['churn_realised'] * (1 - row['churn_realised']):.3f}."
            )
        )
    table = blocks.table(("last basket then", "customers", "predicted", "observed"), rows, (1, 2, 3))
    caption = "Calibration: on the line, churn came as predicted; 95 % interval"
    made.append(blocks.beside([table, blocks.figure(caption, pictures.calibration(bands))]))
    return made


def sales(every: pl.DataFrame, mine: pl.DataFrame, described: pl.DataFrame) -> Section:
    """What was sold: over time, by channel, by department."""
    total = every.filter(pl.col("segment_type") == ALL)
    shown = {"active_customers": "active", "returning_customers": "returning", "new_customers": "new"}
    made = [
        blocks.figure("Units a day; summers and winters shaded", pictures.daily_sales(described), is_wide=True),
        blocks.figure("Customers a week", pictures.weekly(total, shown, "customers", "weekly"), is_wide=True),
        blocks.beside(
            [
                Markup("").join([blocks.heading("By channel"), segment_table(mine, "channel", is_of_customers=False)]),
                blocks.figure("Units by weekday and channel, all weeks", pictures.weekday(described)),
            ]
        ),
        blocks.heading("By department"), segment_table(mine, "department", is_of_customers=False),
    ]  # fmt: skip
    return Section("sales", "Sales", made)


def recommendations(job: Job, every: pl.DataFrame, mine: pl.DataFrame) -> Section:
    """What the picks brought in, how good the models are over time, and the gate's verdicts."""
    made = []
    total = every.filter(pl.col("segment_type") == ALL)
    if len(mine.filter(pl.col("metric") == "conversion")):
        shown = {"realised_hit_rate": "hit rate", "recommended_revenue_share": "share of revenue"}
        drawn = pictures.weekly(total, shown, "share, 95 % interval", "realised")
        made.append(blocks.figure("Buyers who bought one of their picks", drawn, is_wide=True))
        buckets = mine.filter((pl.col("segment_type") == "bucket") & (pl.col("metric") == "conversion"))
        rates = buckets.filter(pl.col("customer_count") >= FOLD)["value"].to_numpy()
        if len(rates):
            made.append(
                blocks.text(
                    f"Conversion by A/B bucket: {rates.min():.2%} to {rates.max():.2%} over {len(rates)} buckets;"
                    " gold/business_metrics has each with its interval."
                )
            )
    else:
        made.append(blocks.text("Nothing was published for this week, so that nothing is known of what picks brought."))
    made += click_through.shown(job)
    headline = {"metric": ["map"], "slice": [ALL_BUYERS], "k": [HEADLINE_K]}
    systems = {"published": "published", "popularity_7d": "best sellers"}
    realised = page_data.read(job, REALISED_PERFORMANCE, headline).select(
        "as_of_date", "value", "ci_low", "ci_high", pl.col("system").cast(pl.String).alias("metric")
    )
    if len(realised):
        drawn = pictures.weekly(realised, systems, f"MAP@{HEADLINE_K}", "map")
        made.append(blocks.figure("Published picks against what was then bought, 95 % interval", drawn, is_wide=True))
    judged = page_data.read(job, EVALUATION_METRICS, headline | {"fold": [POOLED]}).select(
        "as_of_date", "value", "ci_low", "ci_high", pl.col("system").cast(pl.String).alias("metric")
    )
    if len(judged):
        systems = {"two_stage": "this week's model", "champion": "champion", "popularity_7d": "best sellers"}
        drawn = pictures.weekly(judged, systems, f"MAP@{HEADLINE_K}", "judged")
        made.append(
            blocks.figure("Models as each run judged them on the weeks before, 95 % interval", drawn, is_wide=True)
        )
    made.append(blocks.heading(f"The gate's last {page_data.VERDICTS} verdicts"))
    rows = [(v["as_of_date"], v["model_version"], page_data.verdict(v), v["reason"]) for v in page_data.verdicts(job)]
    made.append(blocks.table(("as of", "version", "verdict", "why"), rows))
    return Section("recommendations", "Recommendations", made)


def quality(job: Job, every: pl.DataFrame, described: pl.DataFrame) -> Section:
    """Whether the data can be believed: checks, drift, quarantine, freshness; and how long tasks took."""
    root, as_of = job.warehouse.root, job.settings.as_of_date
    folder = site(root, job.settings.run_id).removeprefix(root)
    made = []
    records = page_data.checks(job)
    if records:
        others = [(r["table"], r["verdict"], "; ".join(r["said"])) for r in records if r["verdict"] != "passed"]
        passed = (
            f"All {len(records)} tables" if not others else f"{len(records) - len(others)} of {len(records)} tables"
        )
        made.append(blocks.text(f"{passed} of this run passed their checks without a warning."))
        made.append(blocks.link(f"../..{folder}/index.html", "Data Docs of this run: every check with what was found"))
        if others:
            made.append(blocks.table(("table", "verdict", "what was found"), others))
    made.append(blocks.heading("Drift: population stability index"))
    moved = [
        (what, since, f"{index:.3f}", f"{chance:.3f}", level)
        for what, since, index, chance, level in page_data.drift(every, as_of)
    ]
    made.append(
        blocks.text(
            "How far shares of what was sold, and to whom, have moved: beyond what chance alone makes, below"
            f" {page_data.CALM} is calm, and {page_data.SHIFT} or more a shift."
        )
    )
    made.append(blocks.table(("of", "since", "index", "by chance alone", "which is"), moved, (2, 3)))
    made.append(blocks.heading("Rows in quarantine"))
    rows = [(table, reason, f"{count:,}") for table, reason, count in page_data.quarantined(job)[:MOST_ROWS]]
    made.append(blocks.table(("table", "reason", "rows"), rows, (2,)))
    made.append(blocks.heading("Freshness"))
    newest = max(described.filter(pl.col("picture") == "daily_sales")["label"].to_list(), default="no day")
    words = f"The newest purchase is of {newest}; the as-of date is {as_of}."
    if records:
        first, last = (records[n]["time"][:16].replace("T", " ") for n in (0, -1))
        words += f" Tables were written from {first} to {last.removeprefix(first[:11])} UTC."
    made.append(blocks.text(words))
    made.append(blocks.table(("table", "files", "found unchanged as of"), page_data.deliveries(job), (1,)))
    if times := page_data.run_times(job, records):
        made.append(blocks.heading("Run time by task"))
        made.append(
            blocks.figure("Seconds, in the order that the tasks began", pictures.run_times(times), is_wide=True)
        )
    return Section("quality", "Data quality and run", made)


def people(job: Job) -> Section:
    """Ten customers' picks with pictures, without the customers' ids."""
    rows = contact_sheet.rows(job.settings, PEOPLE)
    made = [blocks.text("Some customers, each with the article bought last and the first picks for the week ahead.")]
    made += [blocks.picks(f"Customer {n}", tiles) for n, tiles in enumerate(rows.values(), start=1)]
    return Section("picks", "Picks", made)


def descriptive(job: Job, rows: pl.DataFrame) -> Section:
    """The pictures of what is sold, to whom, and when; and the map of the articles' own pictures."""
    shown = [
        ("Customers by age", pictures.age(rows)),
        ("Units by price", pictures.price(rows)),
        ("Product types", pictures.ranking(rows, "product_type")),
        ("Product groups", pictures.ranking(rows, "product_group")),
        ("Colours", pictures.ranking(rows, "colour_group")),
        ("Customers by number of baskets", pictures.purchases(rows)),
        ("Articles by weeks on sale", pictures.lifetime(rows)),
        ("Sold together: % of a row's baskets that has the column's, last 28 days", pictures.sold_together(rows)),
        ("Missing values", pictures.missing_values(rows)),
    ]
    there = set(rows["picture"])
    shown += [
        (caption, pictures.visitors(rows, name))
        for name, caption in (("region", "The shop's visitors by region"), ("age_group", "The shop's visitors by age"))
        if name in there
    ]
    made = [blocks.grid(blocks.figure(*one) for one in shown)]
    if content := page_data.picture_map(job):
        made.append(blocks.photograph("Articles by their pictures (t-SNE)", content))
    return Section("pictures", "What is sold, and to whom", made)
