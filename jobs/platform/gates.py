"""The gates before every commit: the contract's rules on the rows, and its limits on what they refer to and change."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import DeltaTable

from expectations.contract import Contract, Reference, RowChange, WeekChange
from jobs.platform import measures
from jobs.platform.checks import check_measures, check_rows, failure, not_finite
from jobs.platform.data_docs import write_page
from jobs.platform.distributions import Values, psi
from jobs.platform.errors import ContractError
from jobs.platform.previous import PreviousSlices, ReferenceSlice
from jobs.platform.settings import WEEK
from jobs.platform.staging import Slice
from jobs.platform.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Slices of fewer rows are not compared: at 1,000 rows chance alone moves a PSI of ten bins by 0.02 and, with baskets
#: of a few lines, a week's count by a tenth.
MIN_ROWS = 1_000
#: Slices that a message names.
_SHOWN = 3

#: What to do about a change.
_ACCEPT = "mend the data, or let an honest change through with --accept-drift true"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measure:
    """One figure of one slice, and what it says if it is outside its limits."""

    name: str
    label: str
    value: float
    words: str


class Audit:
    """The gates of one publish: `run` raises ContractError where one is broken.

    Whatever the verdict, it is added to the Data Docs of the run.

    Args:
        tables: where references and previous slices are read.
        contract: the table, which exists.
        replace: the slice that the rows take the place of.
        rows: all rows: staged and read by Spark, or an Arrow table.
        table: the version of the table that they are compared with.
    """

    def __init__(
        self, tables: Tables, contract: Contract, replace: Slice, rows: pa.Table | DataFrame, table: DeltaTable
    ) -> None:
        self._tables, self._contract, self._replace, self._rows = tables, contract, replace, rows
        self._previous = PreviousSlices(contract, table, replace)
        self._results: list[Any] = []
        #: Rules of the table (name -> SQL) that Great Expectations has found to hold on every row.
        self.verified: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Check and measure the rows; returns what to record with the commit: limits that were passed over, if any."""
        self._results = check_rows(self._contract, self._rows)
        broken = [failure(result) for result in self._results if not result.success]
        if broken := broken + not_finite(self._contract, self._rows):
            self._stop(broken)
        self.verified = self._contract.rules_in_sql()
        self._measured = measures.measured(self._contract, self._rows, self._parents())
        return self._judged(list(self._measures()))

    def _judged(self, taken: Sequence[Measure]) -> dict[str, str]:
        rows: dict[str, dict[str, Any]] = {}
        for measure in taken:
            rows.setdefault(measure.label, {"slice": measure.label})[measure.name] = measure.value
        results = check_measures(self._contract, list(rows.values()))
        self._results = self._results + results
        stopping, warnings = list[str](), list[str]()
        for gate in (result.expectation_config for result in results if not result.success):
            words = [m.words for m in taken if m.name == gate.kwargs["column"] and _is_outside(m.value, gate.kwargs)]
            more = [f"the same of {len(words) - _SHOWN} earlier slices"] if len(words) > _SHOWN else []
            (warnings if self._is_soft(gate) else stopping).extend([*words[-_SHOWN:], *more])
        if stopping:
            self._stop(stopping, warnings)
        for line in warnings:
            _LOG.warning("%s: published although %s", self._contract.path, line)
        self._write("warned" if warnings else "passed", warnings or self._untried(taken))
        return {"accepted": "; ".join(warnings)} if warnings else {}

    def _parents(self) -> dict[Reference, Any]:
        """What each reference's parent table holds, where the rows are: in Spark, or in memory."""
        found: dict[Reference, Any] = {}
        for reference in self._contract.references:
            parent, columns = reference.parent, reference.parent_columns
            if isinstance(self._rows, pa.Table):
                found[reference] = self._tables.ids(parent, columns)
            else:
                found[reference] = self._tables.ids_spark(self._rows.sparkSession, parent, columns)
        return found

    def _is_soft(self, gate: Any) -> bool:
        changes = (*self._contract.drifts, self._contract.row_change, self._contract.week_change)
        may_be_accepted = gate.kwargs["column"] in {change.measure for change in changes if change}
        return gate.severity == "warning" or (may_be_accepted and self._tables.accept_drift)

    def _stop(self, broken: Sequence[str], warnings: Sequence[str] = ()) -> None:
        self._write("stopped", [*broken, *warnings])
        raise ContractError(f"{self._contract.path}: nothing published; " + "; ".join(broken))

    def _write(self, verdict: str, said: Sequence[str]) -> None:
        write_page(self._tables.root, self._tables.stamp, self._contract, self._results, verdict, said)

    def _untried(self, taken: Sequence[Measure]) -> list[str]:
        """Says so where nothing could be compared."""
        compared = (*self._contract.drifts, self._contract.row_change, self._contract.week_change)
        gates = [gate.measure for gate in compared if gate]
        if not gates or any(measure.name in gates for measure in taken):
            return []
        return [f"nothing to compare with: no earlier slice, or one of the two has fewer than {MIN_ROWS:,} rows"]

    # ---- measures

    def _measures(self) -> Iterator[Measure]:
        rows = dict(self._measured.rows)
        if rows and self._contract.slice_date:  # a slice that lost all its rows has changed as well
            rows |= {str(day): 0 for day in self._replace.get(self._contract.slice_date, ()) if str(day) not in rows}
        rows = dict(sorted(rows.items()))
        earlier = self._previous.before(rows)
        if not isinstance(self._rows, pa.Table):  # Great Expectations has checked that of an Arrow table
            yield from self._repeats(rows)
        yield from self._references(rows)
        yield from self._freshness(rows)
        yield from self._row_changes(rows, earlier)
        yield from self._week_change()
        yield from self._drifts(rows, earlier)

    def _repeats(self, rows: Mapping[str, int]) -> Iterator[Measure]:
        for label in rows if self._contract.unique else ():
            count = self._measured.repeated.get(label, 0)
            words = f"{count:,} {self._contract.repeats} in {label}, such as {self._examples(measures.ALL)}"
            yield Measure(self._contract.repeats, label, count, words)

    def _references(self, rows: Mapping[str, int]) -> Iterator[Measure]:
        for reference, counts in self._measured.unknown.items():
            for label in rows:
                kind, advice = "one that is not in", "deliver the file that lists it, and run again"
                if reference.id_column:
                    kind = f"another than their {reference.id_column} has in"
                    advice = "run ingest.transactions, or jobs.maintenance.repair_keys where their file is gone"
                words = (
                    f"{reference.column}: {counts.get(label, 0):,} rows of {label} have {kind}"
                    f" {reference.parent.path}, such as {self._examples(reference)}; {advice}"
                )
                yield Measure(reference.measure, label, counts.get(label, 0), words)

    def _examples(self, of: Reference | str) -> str:
        return ", ".join(str(value) for value in self._measured.examples.get(of, ()))

    def _freshness(self, rows: Mapping[str, int]) -> Iterator[Measure]:
        fresh, as_of = self._contract.freshness, self._tables.stamp.get("as_of_date")
        if rows and self._contract.slice_date == "as_of_date":  # a run may have to fill in an older slice only
            as_of = max(rows)
        if fresh and as_of and self._measured.newest:
            days = (date.fromisoformat(as_of) - self._measured.newest).days
            words = (
                f"{fresh.column}: the newest is {self._measured.newest}, {days} days before the as-of date {as_of},"
                f" more than {fresh.days}: is a file late?"
            )
            yield Measure(fresh.measure, max(rows), days, words)

    def _row_changes(self, rows: dict[str, int], earlier: Mapping[str, ReferenceSlice]) -> Iterator[Measure]:
        if (change := self._contract.row_change) is None:
            return
        flagged = self._previous.replaced_with(change.unless) if change.unless else 0
        counted = rows | self._measured.counted
        for label, before in earlier.items():
            if before.is_whole and before.rows - flagged >= MIN_ROWS:
                yield _row_count(change, label, label, counted[label], before.rows - flagged, before.name)

    def _week_change(self) -> Iterator[Measure]:
        """The last whole week beside the one before, unless history begins within that."""
        change, as_of = self._contract.week_change, self._tables.stamp.get("as_of_date")
        if not change or not as_of:
            return
        end = date.fromisoformat(as_of)
        start, before = end - WEEK, end - 2 * WEEK
        days = [self._measured.days, self._previous.days(change.column, before)]
        now, then = (
            sum(count for some in days for day, count in some.items() if str(first) <= day < str(first + WEEK))
            for first in (start, before)
        )
        reaches_back = str(before) > min(self._measured.days, default=as_of)
        if then >= MIN_ROWS and (reaches_back or self._previous.reaches_before(change.column, before)):
            label = f"the week from {start}"
            yield _row_count(change, measures.ALL, label, now, then, "the week before")

    def _drifts(self, rows: Mapping[str, int], earlier: Mapping[str, ReferenceSlice]) -> Iterator[Measure]:
        """Drift of each pair of slices that are large enough; their samples are read only now."""
        pairs = {label: e for label, e in earlier.items() if min(rows[label], e.rows) >= MIN_ROWS}
        if not self._contract.drifts or not pairs:
            return
        new = self._sample(pairs)
        stored = {e.label: self._previous.sample(e) for e in pairs.values() if e.is_stored}
        for drift in self._contract.drifts:
            for label, before in pairs.items():
                now = Values.of(new, label, drift.column)
                old = Values.of(stored[before.label] if before.is_stored else new, before.label, drift.column)
                index = psi(old, now)
                words = (
                    f"{drift.column}: moved by PSI {index:.2f} from {before.name} ({old}) to {label} ({now}), more than"
                    f" {drift.most:g} ({drift.why}); {_ACCEPT}"
                )
                yield Measure(drift.measure, label, index, words)

    def _sample(self, pairs: Mapping[str, ReferenceSlice]) -> pa.Table:
        """A sample of the new rows, of the slices that are compared and those among them that they are compared to."""
        wanted = pairs.keys() | {reference.label for reference in pairs.values()}
        shares = measures.shares_of({label: n for label, n in self._measured.rows.items() if label in wanted})
        sample = measures.sample_arrow if isinstance(self._rows, pa.Table) else measures.sample_spark
        return sample(self._contract, self._rows, shares)


def _row_count(change: RowChange | WeekChange, label: str, now: str, rows: int, before: int, then: str) -> Measure:
    limits = f"at least {change.least:g}" + (f", at most {change.most:g}" if change.most else "")
    words = (
        f"row count: {rows:,} of {now} are {rows / before:.2f} times the {before:,} of {then}"
        f" ({limits}: {change.why}); {_ACCEPT}"
    )
    return Measure(change.measure, label, rows / before, words)


def _is_outside(value: float, limits: Mapping[str, Any]) -> bool:
    least, most = limits.get("min_value"), limits.get("max_value")
    return (least is not None and value < least) or (most is not None and value > most)
