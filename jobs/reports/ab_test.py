"""Two lists, sources or groups of visitors compared: from which of them more is clicked, put in the cart or bought.

    python -m jobs.reports.ab_test --as-of-date 2020-09-23 --arm-a bucket=0-49 --arm-b bucket=50-99 --outcome cart

The visitor is what is drawn (jobs.metrics.rates). Only buckets are drawn by chance: of two lists that all visitors see
the difference may be the places where they are shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from expectations.events import EVENTS
from expectations.recommendations import RECOMMENDATIONS
from jobs.metrics.rates import POWER, Comparison, CrossMoments, Moments, compare, wilson
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.reports.attribution import DIMENSIONS
from jobs.reports.recommendation_performance import impressions

READS, WRITES = (), ()
READS_EARLIER_RUNS = (EVENTS, RECOMMENDATIONS)
SETTINGS = ("arm_a", "arm_b", "outcome", "compared_weeks", "attribution_days")

_NUMBERS = ("bucket", "position")
_CONDITION = re.compile(r"(\w+)=(.+)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def condition(arm: str, setting: str) -> Column:
    """The impressions that an arm is of; JobError where its text is no condition."""
    parts = []
    for text in arm.split(","):
        found = _CONDITION.fullmatch(text.strip())
        name, value = found.groups() if found else ("", "")
        if name not in DIMENSIONS:
            raise JobError(f"{setting}: {text!r} is not column=value with one of {', '.join(DIMENSIONS)}")
        span = _RANGE.fullmatch(value)
        if name in _NUMBERS and not span:
            raise JobError(f"{setting}: {text!r} is no number and no range such as 0-49")
        if name in _NUMBERS and span:
            parts.append(F.col(name).between(int(span[1]), int(span[2] or span[1])))
        else:
            parts.append(F.col(name) == F.lit(value))
    return reduce(and_, parts)


def sums(shown: DataFrame, a: Column, b: Column, outcome: str) -> tuple[Moments, Moments, CrossMoments]:
    """What the comparison needs, as sums over visitors.

    Args:
        shown: impressions with their acts.
        a, b: which of them are of either arm.
    """
    numbers = {f"n{arm}": F.sum(which.cast("long")) for arm, which in (("a", a), ("b", b))}
    numbers |= {f"x{arm}": F.sum((which & (F.col(outcome) == 1)).cast("long")) for arm, which in (("a", a), ("b", b))}
    each = shown.where(a | b).groupBy("who").agg(*(F.coalesce(c, F.lit(0)).alias(n) for n, c in numbers.items()))

    def product(one: str, other: str) -> Column:
        return F.coalesce(F.sum(F.col(one).cast("double") * F.col(other)), F.lit(0.0))

    columns = []
    for arm in "ab":
        n, x = f"n{arm}", f"x{arm}"
        columns += [F.count_if(F.col(n) > 0), F.coalesce(F.sum(n), F.lit(0)), F.coalesce(F.sum(x), F.lit(0))]
        columns += [product(n, n), product(n, x), product(x, x)]
    columns += [product("na", "nb"), product("na", "xb"), product("xa", "nb"), product("xa", "xb")]
    row = each.agg(*(column.alias(str(place)) for place, column in enumerate(columns))).first()
    assert row is not None
    return Moments(*row[:6]), Moments(*row[6:12]), CrossMoments(*row[12:])


def report(arms: Mapping[str, Moments], found: Comparison, outcome: str) -> str:
    """The comparison as lines of text.

    Args:
        arms: sums of each arm, by what it is of.
    """
    lines = []
    for name, (text, arm), rate in zip("AB", arms.items(), found.rates, strict=True):
        low, high = wilson(arm.x, arm.n)
        lines.append(
            f"{name}  {text}: {outcome} after {arm.x:,.0f} of {arm.n:,.0f} impressions to {arm.visitors:,} visitors,"
            f" {rate:.3%} (Wilson {low:.3%} to {high:.3%})"
        )
    low, high = found.interval
    test = f"z {found.z:.2f}, p {found.p_value:.4f}, by visitor" if found.is_enough else "too few for a test"
    return "\n".join([*lines, f"B - A: {found.difference:+.3%} ({low:+.3%} to {high:+.3%}), {test}"])


def conclusion(found: Comparison) -> str:
    """What the comparison comes to, and how many visitors would be needed."""
    verdict = "too few to say"
    if found.is_enough:
        verdict = "a difference" if found.p_value < 0.05 else "no difference that could not be chance"
    needed = "no difference to find" if found.visitors_needed is None else f"{found.visitors_needed:,} visitors an arm"
    return (
        f"{verdict}; {POWER:.0%} sure to find one as large: {needed}; with these visitors one of {found.detectable:.3%}"
    )


def main(job: Job) -> str:
    settings = job.settings
    if settings.arm_a == settings.arm_b:
        raise JobError(f"arm_a and arm_b are both {settings.arm_a}: nothing to compare")
    shown = impressions(job, settings.compared_weeks)
    if shown is None:
        raise JobError(f"{job.warehouse.uri(EVENTS)}: no such table; run ingest.shop_events first")
    # Columns need a session, which has started by now.
    arms = [condition(settings.arm_a, "arm_a"), condition(settings.arm_b, "arm_b")]
    a, b, both = sums(shown, arms[0], arms[1], settings.outcome)
    try:
        found = compare(a, b, both)
    except ValueError as error:
        raise JobError(
            f"{settings.arm_a} and {settings.arm_b}: {error}, of {settings.compared_weeks} weeks before"
            f" {settings.as_of_date}; look at the lists in gold/recommendation_performance"
        ) from error
    print(report({settings.arm_a: a, settings.arm_b: b}, found, settings.outcome))
    return conclusion(found)


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS, any_day=True)
