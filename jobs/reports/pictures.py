"""The pictures of a run's page, as SVG that takes the page's colour for text and lines: light, dark and on paper alike.

Each is drawn from aggregates; groups of fewer than FOLD customers are joined with others, or left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from jobs.reports.descriptive import CHANNELS, MOST_BASKETS, MOST_WEEKS, WEEKDAYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Least customers of a group that is shown.
FOLD = 10
#: Stands for the page's own colour; no picture draws with it otherwise.
_INK = "#010203"
_BLUE, _ORANGE, _GREEN, _GREY = "#3b82c4", "#d9772b", "#2a9d77", "#8b95a3"
#: Years of age in a bar; days that a rolling mean is over.
_AGE_STEP, _ROLLING = 5, 28
#: Weeks up to which each has a mark and a label of its own.
_FEW = 15
_WIDE, _SMALL = (9.2, 3.0), (5.2, 3.2)


def svg(draw: Callable[[Axes], None], size: tuple[float, float] = _SMALL, name: str = "") -> str:
    """One drawing as an inline SVG element.

    Args:
        draw: draws it.
        size: inches; the page scales it to its own width.
        name: makes the ids inside of it differ from those of other pictures.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    coloured = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}
    style |= {
        "axes.axisbelow": True,
        "font.size": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.alpha": 0.15,
    }
    style |= dict.fromkeys(coloured, _INK)
    with mpl.rc_context(style):
        drawn: Figure = Figure(figsize=size, layout="constrained")
        drawn.patch.set_alpha(0)
        axes = drawn.subplots()
        axes.patch.set_alpha(0)
        draw(axes)
        text = StringIO()
        drawn.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    found = text.getvalue().replace(_INK, "currentColor")
    found = found[found.index("<svg") :]
    found = re.sub(r"font: ([\d.]+)px [^\"]*?(; text-anchor: \w+)?([;\"])", r"font: \1px sans-serif\2\3", found)
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.S)
    return re.sub(r'(<svg [^>]*?) (?:width|height)="[^"]*"([^>]*?) (?:width|height)="[^"]*"', r"\1\2", found, count=1)


def _of(rows: pl.DataFrame, picture: str, series: str | None = None) -> pl.DataFrame:
    wanted = pl.col("picture") == picture
    return rows.filter(wanted if series is None else wanted & (pl.col("series") == series)).sort("position")


def age(rows: pl.DataFrame) -> str:
    """Customers by age, five years to a bar."""
    bars = _of(rows, "age").group_by(pl.col("position") // _AGE_STEP * _AGE_STEP).agg(pl.col("value").sum())
    shown = bars.filter(pl.col("value") >= FOLD).sort("position")

    def draw(axes: Axes) -> None:
        axes.bar(shown["position"] + _AGE_STEP / 2, shown["value"], width=_AGE_STEP * 0.92, color=_BLUE)
        axes.set(xlabel="age in years", ylabel="customers")
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
            every["day"], 0, 1, where=season, color=_GREY, alpha=0.13, lw=0, transform=axes.get_xaxis_transform()
        )
        axes.plot(every["day"], units, color=_BLUE, lw=0.6, alpha=0.6, label="units a day")
        axes.plot(every["day"], units.rolling_mean(_ROLLING), color=_ORANGE, lw=1.8, label=f"mean of {_ROLLING} days")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.legend(frameon=False, ncols=2, loc="upper left")

    return svg(draw, _WIDE, "daily")


def price(rows: pl.DataFrame) -> str:
    """Units by price, on a logarithmic axis."""
    bins = _of(rows, "price")
    ends = bins["label"].cast(pl.Float64).to_numpy()

    def draw(axes: Axes) -> None:
        axes.bar(ends, bins["value"], width=ends * (10**0.1 - 1), align="edge", color=_BLUE)
        axes.set_xscale("log")
        axes.set(xlabel="price, in the retailer's unit (log)", ylabel="units")
        axes.grid(axis="y")

    return svg(draw, name="price")


def ranking(rows: pl.DataFrame, picture: str) -> str:
    """The labels that sold most in the last year."""
    top = _of(rows, picture).head(15).reverse()

    def draw(axes: Axes) -> None:
        axes.barh(top["label"].str.slice(0, 24), top["value"], color=_GREEN)
        axes.set(xlabel="units, last 52 weeks")
        axes.grid(axis="x")

    return svg(draw, (5.2, 3.8), picture)


def weekday(rows: pl.DataFrame) -> str:
    """Units by weekday and channel."""

    def draw(axes: Axes) -> None:
        for n, (channel, colour) in enumerate(zip(CHANNELS.values(), (_ORANGE, _BLUE), strict=True)):
            found = dict(_of(rows, "weekday", channel).select("position", "value").iter_rows())
            places = np.arange(len(WEEKDAYS)) + (n - 0.5) * 0.4
            axes.bar(places, [found.get(day, 0) for day in range(7)], 0.38, color=colour, label=channel)
        axes.set_xticks(range(7), WEEKDAYS)
        axes.set(ylabel="units")
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
        axes.bar([label for label, _ in bars], [count for _, count in bars], color=_BLUE)
        axes.set(xlabel=f"baskets until now ({MOST_BASKETS}: or more)", ylabel="customers")
        axes.tick_params(axis="x", labelsize=7.5)
        axes.grid(axis="y")

    return svg(draw, name="purchases")


def lifetime(rows: pl.DataFrame) -> str:
    """Articles by the weeks from their first to their last sale."""
    bars = _of(rows, "lifetime")

    def draw(axes: Axes) -> None:
        axes.bar(bars["position"], bars["value"], color=_GREEN)
        axes.set(xlabel=f"weeks from first to last sale ({MOST_WEEKS}: or more)", ylabel="articles")
        axes.grid(axis="y")

    return svg(draw, name="lifetime")


def missing_values(rows: pl.DataFrame) -> str:
    """Share of rows without a value by column."""
    found = _of(rows, "missing_values").sort("value").tail(15)

    def draw(axes: Axes) -> None:
        axes.barh(found["series"] + "." + found["label"], 100 * found["value"], color=_ORANGE)
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
        axes.set(xlabel="30-day period after the first purchase", ylabel="month of it")

    return svg(draw, (9.2, max(1.6, 0.23 * len(names) + 0.8)), "cohorts")


def weekly(metrics: pl.DataFrame, shown: dict[str, str], label: str, name: str) -> str:
    """Lines of metrics by week.

    Args:
        metrics: as_of_date, metric, value, and ci_low and ci_high where there is an interval.
        shown: metric -> how the legend calls it.
    """

    def draw(axes: Axes) -> None:
        for (metric, words), colour in zip(shown.items(), (_BLUE, _ORANGE, _GREEN, _GREY), strict=False):
            line = metrics.filter(pl.col("metric") == metric).sort("as_of_date")
            marker = "o" if len(line) < _FEW else None
            axes.plot(line["as_of_date"], line["value"], color=colour, lw=1.6, marker=marker, ms=3, label=words)
            ends = line.drop_nulls(["ci_low", "ci_high"])
            if len(ends):
                below, above = ends["value"] - ends["ci_low"], ends["ci_high"] - ends["value"]
                axes.errorbar(ends["as_of_date"], ends["value"], [below, above], fmt="none", ecolor=colour, capsize=3)
        axes.set(ylabel=label)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, 1.16))
        axes.xaxis.axis_date()
        if len(days := metrics.filter(pl.col("metric").is_in(list(shown)))["as_of_date"].unique().sort()) < _FEW:
            axes.set_xticks(days, [str(day) for day in days])
            axes.margins(x=0.1)
        for tick in axes.get_xticklabels():
            tick.set(rotation=30, horizontalalignment="right")

    return svg(draw, _WIDE, name)
