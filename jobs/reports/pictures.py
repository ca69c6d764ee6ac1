"""The pictures of a run's page, as SVG.

Each is drawn from aggregates; groups of fewer than FOLD customers are joined with others, or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jobs.reports.baskets import CHANNELS, MOST_BASKETS
from jobs.reports.descriptive import MOST_WEEKS, WEEKDAYS
from jobs.reports.drawing import BLUE, GREEN, GREY, ORANGE, WIDE, in_thousands, svg
from jobs.reports.figures import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Least customers of a group that is shown.
FOLD = 10
#: Years of age in a bar; days that a rolling mean is over.
_AGE_STEP, _ROLLING = 5, 28
#: Weeks up to which each has a mark and a label of its own.
_FEW = 15


def _of(rows: pl.DataFrame, picture: str, series: str | None = None) -> pl.DataFrame:
    wanted = pl.col("picture") == picture
    return rows.filter(wanted if series is None else wanted & (pl.col("series") == series)).sort("position")


def age(rows: pl.DataFrame) -> str:
    """Customers by age, five years to a bar."""
    bars = _of(rows, "age").group_by(pl.col("position") // _AGE_STEP * _AGE_STEP).agg(pl.col("value").sum())
    shown = bars.filter(pl.col("value") >= FOLD).sort("position")

    def draw(axes: Axes) -> None:
        axes.bar(shown["position"] + _AGE_STEP / 2, shown["value"], width=_AGE_STEP * 0.92, color=BLUE)
        axes.set(xlabel="age in years", ylabel="customers")
        in_thousands(axes.yaxis)
        axes.grid(axis="y")

    return svg(draw, name="age")


def daily_sales(rows: pl.DataFrame) -> str:
    """Units of each day with their rolling mean, summers and winters shaded."""
    days = _of(rows, "daily_sales", "units").with_columns(day=pl.col("label").str.to_date())
    every = days.select(day=pl.date_range(pl.col("day").min(), pl.col("day").max())).join(days, "day", how="left")
    units = every["value"].fill_null(0)
    season = every["day"].dt.month().is_in([6, 7, 8, 12, 1, 2]).to_numpy()

    def draw(axes: Axes) -> None:
        axes.fill_between(
            every["day"], 0, 1, where=season, color=GREY, alpha=0.13, lw=0, transform=axes.get_xaxis_transform()
        )
        axes.plot(every["day"], units, color=BLUE, lw=0.6, alpha=0.6, label="units a day")
        axes.plot(every["day"], units.rolling_mean(_ROLLING), color=ORANGE, lw=1.8, label=f"mean of {_ROLLING} days")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.legend(frameon=False, ncols=2, loc="upper left")

    return svg(draw, WIDE, "daily")


def price(rows: pl.DataFrame) -> str:
    """Units by price, on a logarithmic axis."""
    bins = _of(rows, "price")
    ends = bins["label"].cast(pl.Float64).to_numpy()

    def draw(axes: Axes) -> None:
        axes.bar(ends, bins["value"], width=ends * (10**0.1 - 1), align="edge", color=BLUE)
        axes.set_xscale("log")
        axes.set(xlabel="price, in the retailer's unit (log)", ylabel="units")
        in_thousands(axes.yaxis)
        axes.grid(axis="y")

    return svg(draw, name="price")


def ranking(rows: pl.DataFrame, picture: str) -> str:
    """The labels that sold most in the last year."""
    top = _of(rows, picture).head(15).reverse()

    def draw(axes: Axes) -> None:
        axes.barh(top["label"].str.slice(0, 24), top["value"], color=GREEN)
        axes.set(xlabel="units, last 52 weeks")
        in_thousands(axes.xaxis)
        axes.grid(axis="x")

    return svg(draw, (5.2, 3.8), picture)


def weekday(rows: pl.DataFrame) -> str:
    """Units by weekday and channel."""

    def draw(axes: Axes) -> None:
        for n, (channel, colour) in enumerate(zip(CHANNELS.values(), (ORANGE, BLUE), strict=True)):
            found = dict(_of(rows, "weekday", channel).select("position", "value").iter_rows())
            places = np.arange(len(WEEKDAYS)) + (n - 0.5) * 0.4
            axes.bar(places, [found.get(day, 0) for day in range(7)], 0.38, color=colour, label=channel)
        axes.set_xticks(range(7), WEEKDAYS)
        axes.set(ylabel="units")
        in_thousands(axes.yaxis)
        axes.grid(axis="y")
        axes.legend(frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, 1.14))

    return svg(draw, name="weekday")


def folded_tail(counts: Sequence[tuple[int, float]]) -> list[tuple[str, float]]:
    """Counts by a number, those of the largest numbers in one as far as they are under FOLD or come after such."""
    small = next((n for n, (_, count) in enumerate(counts) if count < FOLD), len(counts))
    while small and 0 < sum(count for _, count in counts[small:]) < FOLD:
        small -= 1
    rest = sum(count for _, count in counts[small:])
    kept = [(str(number), count) for number, count in counts[:small]]
    return [*kept, (f"{counts[small][0]}+", rest)] if rest else kept


def purchases(rows: pl.DataFrame) -> str:
    """Customers by the number of days on which they bought."""
    bars = folded_tail(list(_of(rows, "purchases").select("position", "value").iter_rows()))

    def draw(axes: Axes) -> None:
        axes.bar(range(len(bars)), [count for _, count in bars], color=BLUE)
        axes.set_xticks(range(len(bars)), [label for label, _ in bars])
        axes.set(xlabel=f"baskets until now ({MOST_BASKETS}: or more)", ylabel="customers")
        in_thousands(axes.yaxis)
        axes.tick_params(axis="x", labelsize=7.5)
        axes.grid(axis="y")

    return svg(draw, name="purchases")


def lifetime(rows: pl.DataFrame) -> str:
    """Articles by the weeks from their first to their last sale."""
    bars = _of(rows, "lifetime")

    def draw(axes: Axes) -> None:
        axes.bar(bars["position"], bars["value"], color=GREEN)
        axes.set(xlabel=f"weeks from first to last sale ({MOST_WEEKS}: or more)", ylabel="articles")
        in_thousands(axes.yaxis)
        axes.grid(axis="y")

    return svg(draw, name="lifetime")


def missing_values(rows: pl.DataFrame) -> str:
    """Share of rows without a value by column."""
    found = _of(rows, "missing_values").sort("value").tail(15)

    def draw(axes: Axes) -> None:
        axes.barh(found["series"] + "." + found["label"], 100 * found["value"], color=ORANGE)
        axes.set(xlabel="% of rows without a value")
        axes.grid(axis="x")

    return svg(draw, (5.2, 3.8), "missing")


def _heat_map(axes: Axes, shares: np.ndarray, across: Sequence[str], down: Sequence[str]) -> None:
    known = shares[np.isfinite(shares)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=max(known.max(initial=0), 1e-9), aspect="auto")
    axes.set_xticks(range(len(across)), across, fontsize=7.5)
    axes.set_yticks(range(len(down)), down, fontsize=7.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    top = known.max(initial=0)
    for row, column in np.argwhere(np.isfinite(shares)):
        value = shares[row, column]
        colour = "white" if value > 0.6 * top else "#1d2430"
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=6.5, color=colour)


def sold_together(rows: pl.DataFrame) -> str:
    """Of baskets with the row's product group, the percentage that has the column's, too."""
    matrix = _of(rows, "sold_together")
    names = matrix.filter(pl.col("series") == matrix["series"][0])["label"].to_list() if len(matrix) else []
    shares = np.full((len(names), len(names)), np.nan)
    for one, place, value in matrix.select("series", "position", "value").iter_rows():
        if names[place] != one:
            shares[names.index(one), place] = value

    def draw(axes: Axes) -> None:
        _heat_map(axes, shares, [name[:16] for name in names], [name[:22] for name in names])
        axes.tick_params(axis="x", rotation=40)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")

    return svg(draw, (5.6, 4.4), "together")


def cohorts(metrics: pl.DataFrame) -> str:
    """Percentage of each cohort who bought in their n-th 30 days, of cohorts with FOLD customers or more.

    Args:
        metrics: rows of gold/business_metrics of cohorts: segment, metric, value, customer_count.
    """
    found = metrics.filter(pl.col("customer_count") >= FOLD).with_columns(
        period=pl.col("metric").str.extract(r"(\d+)$").cast(pl.Int32)
    )
    names = sorted(found["segment"].unique())
    periods = int(found["period"].max() or 0) if len(found) else 0  # type: ignore[arg-type]
    shares = np.full((len(names), periods), np.nan)
    for name, period, value in found.select("segment", "period", "value").iter_rows():
        shares[names.index(name), period - 1] = value

    def draw(axes: Axes) -> None:
        _heat_map(axes, shares, [str(n + 1) for n in range(periods)], names)
        axes.set(xlabel="30-day period after the first purchase", ylabel="month of the first purchase")

    return svg(draw, (9.2, max(1.6, 0.23 * len(names) + 0.8)), "cohorts")


def weekly(metrics: pl.DataFrame, shown: dict[str, str], label: str, name: str) -> str:
    """Lines of metrics by week.

    Args:
        metrics: as_of_date, metric, value, and ci_low and ci_high where there is an interval.
        shown: metric -> how the legend calls it.
    """

    def draw(axes: Axes) -> None:
        for (metric, words), colour in zip(shown.items(), (BLUE, ORANGE, GREEN, GREY), strict=False):
            line = metrics.filter(pl.col("metric") == metric).sort("as_of_date")
            if not len(line):
                continue
            marker = "o" if len(line) < _FEW else None
            axes.plot(line["as_of_date"], line["value"], color=colour, lw=1.6, marker=marker, ms=3, label=words)
            ends = line.drop_nulls(["ci_low", "ci_high"])
            if len(ends):
                below, above = ends["value"] - ends["ci_low"], ends["ci_high"] - ends["value"]
                axes.errorbar(ends["as_of_date"], ends["value"], [below, above], fmt="none", ecolor=colour, capsize=3)
        axes.set(ylabel=label)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        if axes.lines:
            axes.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, 1.16))
        axes.xaxis.axis_date()
        if len(days := metrics.filter(pl.col("metric").is_in(list(shown)))["as_of_date"].unique().sort()) < _FEW:
            axes.set_xticks(days, [str(day) for day in days])
            axes.margins(x=0.1)
        for tick in axes.get_xticklabels():
            tick.set(rotation=30, horizontalalignment="right")

    return svg(draw, WIDE, name)


def calibration(bands: pl.DataFrame) -> str:
    """Churn that was predicted against what happened, a point for each band of recency with Wilson's interval.

    Args:
        bands: segment, customer_count, churn_probability and churn_realised.
    """
    low, high = wilson(pl.col("churn_realised") * pl.col("customer_count"), pl.col("customer_count"))
    points = bands.select("churn_probability", "churn_realised", low=low, high=high) * 100
    predicted, observed = points["churn_probability"], points["churn_realised"]

    def draw(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=GREY, lw=1, ls="--")
        below, above = (observed - points["low"]).clip(0), (points["high"] - observed).clip(0)
        axes.errorbar(predicted, observed, [below, above], fmt="o", ms=4, color=BLUE, ecolor=BLUE, capsize=3)
        axes.set(xlabel="% predicted", ylabel="% observed", xlim=(0, 102), ylim=(0, 102))
        axes.grid()

    return svg(draw, name="calibration")


def visitors(rows: pl.DataFrame, picture: str) -> str:
    """Visitors by region or age group; those with fewer than FOLD are one group, if that has so many."""
    found = _of(rows, picture)
    large = list(found.filter(pl.col("value") >= FOLD).select("label", "value").iter_rows())
    rest = found.filter(pl.col("value") < FOLD)
    if rest["value"].sum() >= FOLD:
        large.append((f"{len(rest)} others", rest["value"].sum()))

    def draw(axes: Axes) -> None:
        axes.barh([label[:24] for label, _ in large], [count for _, count in large], color=BLUE)
        axes.invert_yaxis()
        axes.set(xlabel="visitors")
        in_thousands(axes.xaxis)
        axes.grid(axis="x")

    return svg(draw, (5.2, max(1.4, 0.25 * len(large) + 0.7)), picture)


def run_times(times: Sequence[tuple[str, float]]) -> str:
    """Seconds by task, the first at the top."""

    def draw(axes: Axes) -> None:
        bars = axes.barh([name for name, _ in times], [seconds for _, seconds in times], color=GREY)
        axes.bar_label(bars, [f"{seconds:,.0f}" for _, seconds in times], padding=3, fontsize=8)
        axes.invert_yaxis()
        axes.set(xlabel="seconds")
        axes.grid(axis="x")

    return svg(draw, (WIDE[0], 0.24 * len(times) + 0.7), "run_times")
