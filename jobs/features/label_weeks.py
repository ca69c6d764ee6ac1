"""How many weeks a model learns from: as many as hold enough buyers, unless a number is given.

The ranker learns from a week's buyers. A large shop has enough of them in a few weeks, and its newest weeks are those
most like the next; a small shop needs a year. Every job of a run decides alike, from what was bought before its dates.
"""

from __future__ import annotations

import math
from datetime import date
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.contract import key_of
from expectations.transactions import TRANSACTIONS
from jobs.features.spec import DAY
from jobs.platform.data_files import DataFile
from jobs.platform.job import Job
from jobs.platform.settings import EVALUATION_FOLDS, WEEK, Settings

#: Buyers that the ranker's weeks hold together, counted week by week, where a year has as many.
ENOUGH = 2_500
LEAST, MOST = 10, 52
#: Weeks that say nothing: the model is judged, and validated, on them.
UNSEEN = EVALUATION_FOLDS + 1
#: Weeks before these whose buyers say what a week of the shop is.
LOOKED_AT = 4
#: Label weeks take no more than this part of the past: what was known before them is the rest.
PART = 2 / 3


def with_training_weeks(job: Job, settings: Settings, backtest_weeks: int = 0) -> Settings:
    """The settings with a number of training weeks: theirs, or the one that follows from the purchases.

    Args:
        settings: of a date.
        backtest_weeks: of models as of so many weeks before, too, the most that any of them needs.
    """
    if settings.training_weeks:
        return settings
    dates = [settings.as_of_date - j * WEEK for j in range(backtest_weeks + 1)]
    oldest = dates[-1] - (UNSEEN + LOOKED_AT) * WEEK
    files = [file for file in job.data_files(TRANSACTIONS) if file.is_before(DAY, dates[0])]
    first = min((file.low[DAY] for file in files if file.low.get(DAY)), default=dates[0])
    buyers = [_buyers(file, oldest) for file in files if file.is_since(DAY, oldest)]
    day, customer = np.concatenate([np.zeros((0, 2), np.int32), *buyers]).T
    weeks, why = max((weeks_needed(day, customer, first, as_of) for as_of in dates), key=itemgetter(0))
    print(why)
    return settings.model_copy(update={"training_weeks": weeks})


def _buyers(file: DataFile, since: date) -> np.ndarray:
    """Day (since 1970-01-01) and customer key of each buyer of a day since that one, once, (n, 2)."""
    rows = file.read([DAY, key_of("customer_id")])
    rows = rows.filter(pc.greater_equal(rows[DAY], pa.scalar(since))).group_by(rows.column_names).aggregate([])
    return np.column_stack([rows[0].cast(pa.int32()).to_numpy(), rows[1].to_numpy()])


def weeks_needed(day: np.ndarray, customer: np.ndarray, first: date, as_of: date) -> tuple[int, str]:
    """Training weeks of a model as of a date, and why so many.

    Args:
        day, customer: of each buyer of a day, at least of the weeks that are looked at, (n,); days since 1970-01-01.
        first: day of the first line.
    """
    end = (as_of - date(1970, 1, 1)).days
    age = (end - 1 - day) // 7 - UNSEEN
    is_seen = (age >= 0) & (age < LOOKED_AT)
    weekly = len(np.unique(customer[is_seen].astype(np.int64) * LOOKED_AT + age[is_seen])) / LOOKED_AT
    wanted = 2 * math.ceil(ENOUGH / max(weekly, 1))  # the ranker has the newer half
    room = int(PART * ((as_of - first) // WEEK - UNSEEN))
    weeks = max(2, min(max(wanted, LEAST), MOST, room))
    return weeks, (
        f"{weeks} training weeks as of {as_of}: {weekly:,.0f} buyers a week, of whom the ranker's half should hold "
        f"{ENOUGH:,}; between {LEAST} and {MOST}, and at most {PART:.0%} of the past: {max(room, 0)}"
    )
