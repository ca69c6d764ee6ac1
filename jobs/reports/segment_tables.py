"""Tables of the run's page with a row for each segment; groups of fewer than FOLD customers are folded."""

from __future__ import annotations

import polars as pl
from markupsafe import Markup

from jobs.reports import blocks
from jobs.reports.pictures import FOLD

#: Columns of a table of segments; the first four can be added up where small groups are folded.
COLUMNS = (
    ("active_customers", "customers", "{:,.0f}"),
    ("baskets", "baskets", "{:,.0f}"),
    ("units", "units", "{:,.0f}"),
    ("revenue", "revenue", "{:,.4g}"),
    ("revenue_per_customer", "per customer", "{:,.4g}"),
    ("average_price", "average price", "{:,.4g}"),
    ("retention_7d", "again in a week", "{:.1%}"),
    ("churn_rate_90d", "churn", "{:.2%}"),
    ("revenue_share", "of revenue", "{:.1%}"),
)
ADDITIVE = 4
#: Rows of a table.
MOST_ROWS = 15


def folded(rows: list[dict[str, float]], names: list[str]) -> tuple[list[str], list[dict[str, float]]]:
    """The MOST_ROWS segments that are FOLD customers or more; all others, and if need be the smallest of these, in one.

    Args:
        rows: metric -> value of each segment, most customers first.
        names: of the segments.
    """
    keep = min(sum(_customers(row) >= FOLD for row in rows), MOST_ROWS)
    while keep and 0 < sum(_customers(row) for row in rows[keep:]) < FOLD:
        keep -= 1
    rest = rows[keep:]
    total = {m: sum(row.get(m, 0) for row in rest) for m, *_ in COLUMNS[:ADDITIVE] if any(m in row for row in rest)}
    if not total.get("active_customers"):
        return names[:keep], rows[:keep]
    if total.get("units"):
        total["average_price"] = total["revenue"] / total["units"]
    name = f"{len(rest)} others" if keep else f"all {len(rest)} together"
    return [*names[:keep], name], [*rows[:keep], total]


def segment_table(mine: pl.DataFrame, kind: str, *, is_of_customers: bool = True) -> Markup:
    """Figures of the week by segment of a type.

    Args:
        mine: rows of gold/business_metrics of the week.
        kind: the type.
        is_of_customers: a customer is in one segment only, so that customers of several can be added up.
    """
    values: dict[str, dict[str, float]] = {}
    own = mine.filter(pl.col("segment_type") == kind)
    for segment, metric, value in own.select("segment", "metric", "value").iter_rows():
        values.setdefault(segment, {})[metric] = value
    order = sorted((s for s in values if values[s].get("units", 1)), key=lambda s: (-_customers(values[s]), s))
    names, rows = folded([values[name] for name in order], order)
    if len(rows) and rows[-1] not in values.values() and not is_of_customers:
        rows[-1] = {metric: value for metric, value in rows[-1].items() if metric != "active_customers"}
    if kind == "age_band":
        in_order = sorted(zip(names, rows, strict=True), key=lambda pair: _age_order(pair[0]))
        names, rows = [name for name, _ in in_order], [row for _, row in in_order]
    shown = [c for c in COLUMNS if any(c[0] in row for row in rows)]
    cells = [
        [name, *(form.format(row[metric]) if metric in row else "" for metric, _, form in shown)]
        for name, row in zip(names, rows, strict=True)
    ]
    headings = [kind.replace("_", " "), *(words for _, words, _ in shown)]
    return blocks.table(headings, cells, range(1, len(headings)))


def _age_order(name: str) -> tuple[bool, str]:
    """Youngest first, then those of unknown age, then what is folded."""
    return name.endswith("others"), name.removeprefix("under ")


def _customers(row: dict[str, float]) -> float:
    return row.get("active_customers", 0)
