"""The table contract: one description from which schema, checks, comments and documentation are derived.

Pure Python on purpose: the Airflow environment, the Spark jobs and the documentation can all read a contract
without importing each other's libraries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Column types, spelled as in Spark DDL.
TYPES = (
    "string",
    "date",
    "timestamp",
    "int",
    "bigint",
    "double",
    "boolean",
    "array<float>",
    "array<struct<hex:string,share:double>>",
)
#: No number of type double, or in an array, is beyond this either way, whatever its column says: it is finite, and so
#: is its square in 32 bits.
GREATEST = 1e15


@dataclass(frozen=True)
class Expectation:
    """A Great Expectations rule: its snake_case `type`, its keyword arguments, and in words where they do not say it.

    An advisory rule that is broken is logged and recorded; any other stops the publish.
    """

    type: str
    kwargs: Mapping[str, Any]
    description: str | None = None
    is_advisory: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is about; none for a rule on the table."""
        return (str(self.kwargs["column"]),) if "column" in self.kwargs else tuple(self.kwargs.get("column_list", ()))

    @property
    def is_uniqueness(self) -> bool:
        return self.type in ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")


@dataclass(frozen=True)
class Column:
    """One column: type (see TYPES), meaning in words, and the rules every value obeys."""

    name: str
    type: str
    description: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str | int, ...] = ()
    pattern: str | None = None
    is_unique: bool = False

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"column {self.name}: unknown type {self.type!r}, expected one of {TYPES}")
        if any(not abs(limit) < math.inf for limit in (self.minimum, self.maximum) if limit is not None):
            raise ValueError(f"column {self.name}: a limit that is not finite")

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """The least and the greatest value: its own, or those of every double."""
        least, most = (-GREATEST, GREATEST) if self.type == "double" else (None, None)
        return least if self.minimum is None else self.minimum, most if self.maximum is None else self.maximum

    def expectations(self) -> Iterator[Expectation]:
        """The rules on this column alone."""
        column = {"column": self.name}
        if not self.nullable:
            yield Expectation("expect_column_values_to_not_be_null", column)
        least, most = self.limits
        if least is not None or most is not None:
            bounds = {"min_value": least, "max_value": most}
            yield Expectation("expect_column_values_to_be_between", column | bounds)
        if self.allowed:
            yield Expectation("expect_column_values_to_be_in_set", column | {"value_set": list(self.allowed)})
        if self.pattern:
            yield Expectation("expect_column_values_to_match_regex", column | {"regex": self.pattern})
        if self.is_unique:
            yield Expectation("expect_column_values_to_be_unique", column)


@dataclass(frozen=True)
class Reference:
    """Every value of `column` is an id, or a surrogate key, of the table `parent`: of the customers or the articles.

    With `id_column` it is the key that the parent has for the id in that column of the same row.
    """

    column: str
    parent: Contract
    id_column: str | None = None

    @property
    def parent_columns(self) -> list[str]:
        """The parent's columns with these values."""
        return [self.parent_column, *([self.parent.key[0]] if self.id_column else [])]

    @property
    def parent_column(self) -> str:
        """The parent's column with these values: of the same name, or its key (similar_article_id is an article_id)."""
        return self.column if self.column in self.parent.column_names else self.parent.key[0]

    @property
    def measure(self) -> str:
        of_it = f"{self.column} of {self.id_column}" if self.id_column else self.column
        return f"{of_it} not in {self.parent.path}"


@dataclass(frozen=True)
class RowChange:
    """Rows of a slice for each row of the slice before it: `least` and `most`, and why these.

    `first_is_partial`: history may begin within the table's oldest slice, which is then no measure for the next.
    `unless`: a flag; rows that have it do not count.
    """

    least: float
    most: float | None
    why: str
    first_is_partial: bool = False
    unless: str | None = None

    measure = "rows for each row before"


@dataclass(frozen=True)
class WeekChange:
    """Rows of the week before the as-of date, by the date in `column`, for each row of the week before that one.

    The whole table counts, as it will be: for tables that are not partitioned by a date. Limits and why, as RowChange.
    """

    column: str
    least: float
    most: float
    why: str

    measure = "rows of the last week for each of the week before"


@dataclass(frozen=True)
class Drift:
    """How far the values of `column` may move from one slice to the next: population stability index, and why this.

    Over ten bins that held equal shares before (text: over its values), and one of nulls, the sum of
    (share - share before) * ln(share / share before). Two normal curves d standard deviations apart have about d²; by
    usage below 0.1 is calm and above 0.25 a shift. `is_advisory`: logged, and nothing stops.
    """

    column: str
    most: float
    why: str
    is_advisory: bool = False

    @property
    def measure(self) -> str:
        return f"{self.column} drift (PSI)"


@dataclass(frozen=True)
class Freshness:
    """The newest value of `column` is at most `days` before the run's as-of date, and why."""

    column: str
    days: int
    why: str

    @property
    def measure(self) -> str:
        return f"days from the newest {self.column} to the as-of date"


@dataclass(frozen=True)
class Contract:
    """One table: where it lives, what a row is, its columns in order, its key, its partitioning, and its gates.

    `key` is unique within the table; empty where identical rows are legitimate (several units of one purchase).
    `min_rows` is the least number of rows a run may publish. Slices that `row_change` and `drifts` compare are those of
    the date the table is partitioned by; without one, new rows are compared with those that they replace.
    """

    layer: str
    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    min_rows: int = 1
    references: tuple[Reference, ...] = ()
    row_change: RowChange | None = None
    week_change: WeekChange | None = None
    drifts: tuple[Drift, ...] = ()
    freshness: Freshness | None = None

    def __post_init__(self) -> None:
        names = self.column_names
        unknown = [c for c in (*self.key, *self.partition_by) if c not in names]
        if unknown or len(set(names)) != len(names):
            raise ValueError(f"contract {self.name}: duplicate columns, or key/partition not a column: {unknown}")
        gated = [gate.column for gate in (*self.references, *self.drifts, self.freshness, self.week_change) if gate]
        orphans = [r.column for r in self.references if len(r.parent.key) != 1]
        if missing := [column for column in gated if column not in names] + orphans:
            raise ValueError(f"contract {self.name}: gates on what is not there: {missing}")

    @property
    def path(self) -> str:
        """Folder of the table below the warehouse root."""
        return f"{self.layer}/{self.name}"

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def slice_date(self) -> str | None:
        """The date column whose values are the table's slices; None where it has no such partitions."""
        dates = [c.name for c in self.columns if c.name in self.partition_by and c.type == "date"]
        return dates[0] if dates else None

    @property
    def ddl(self) -> str:
        """The schema as Spark DDL."""
        return ", ".join(f"`{column.name}` {column.type}" for column in self.columns)

    def expectations(self) -> list[Expectation]:
        """Every rule of the table, as a Great Expectations suite in plain data."""
        rules = [Expectation("expect_table_row_count_to_be_between", {"min_value": self.min_rows})]
        rules += [rule for column in self.columns for rule in column.expectations()]
        if len(self.key) == 1:
            rules.append(Expectation("expect_column_values_to_be_unique", {"column": self.key[0]}))
        elif self.key:
            rules.append(Expectation("expect_compound_columns_to_be_unique", {"column_list": list(self.key)}))
        return rules

    @property
    def compares_slices(self) -> bool:
        """True where new rows are compared with those that the table has."""
        return bool(self.row_change or self.week_change or self.drifts)

    @property
    def unique(self) -> list[tuple[str, ...]]:
        """Columns, together, whose values are unique."""
        return ([self.key] if self.key else []) + [(c.name,) for c in self.columns if c.is_unique]

    @property
    def repeats(self) -> str:
        """Name of the measure that says so."""
        return "rows that repeat " + " or ".join(", ".join(columns) for columns in self.unique)

    def gates(self) -> list[Expectation]:
        """The rules that look beyond the rows: limits of measures taken for each slice (jobs.platform.measures).

        Each is on the least or the greatest value of the slices, which the result tells.
        """
        rules = [_limit(self.repeats, None, 0, "the key")] if self.unique else []
        rules += [_limit(r.measure, None, 0, "every one is listed there") for r in self.references]
        if fresh := self.freshness:
            rules.append(_limit(fresh.measure, None, fresh.days, fresh.why))
        for change in (self.row_change, self.week_change):
            if change:
                rules.append(_limit(change.measure, change.least, None, change.why))
                if change.most is not None:
                    rules.append(_limit(change.measure, None, change.most, change.why))
        return rules + [_limit(d.measure, None, d.most, d.why, is_advisory=d.is_advisory) for d in self.drifts]

    def rules_in_sql(self) -> dict[str, str]:
        """What the table itself holds to (name -> SQL): its CHECK constraints, and NOT NULL of columns."""
        return self.constraints() | {
            not_null(c.name): f"`{c.name}` IS NOT NULL" for c in self.columns if not c.nullable
        }

    def constraints(self) -> dict[str, str]:
        """Delta CHECK constraints (name -> SQL): the last line of defence, enforced by every writer.

        In the words that Delta keeps them in, 1000000000 for 1e9, so that rules can be compared with a table's.
        """
        checks: dict[str, str] = {}
        for column in self.columns:
            absent = f"{column.name} IS NULL OR " if column.nullable else ""
            least, most = column.limits
            if least is not None:
                checks[f"{column.name}_minimum"] = f"{absent}{column.name} >= {_literal(least)}"
            if most is not None:
                checks[f"{column.name}_maximum"] = f"{absent}{column.name} <= {_literal(most)}"
        return checks


def _literal(limit: float) -> str:
    """A limit as Delta keeps it in a constraint: 1e15 as 1000000000000000."""
    return str(int(limit) if float(limit).is_integer() else limit)


def not_null(column: str) -> str:
    """Name of the rule that a column is never null."""
    return f"{column} NOT NULL"


def key_of(entity_id: str) -> str:
    """The column that holds the surrogate key of an id column: customer_key of customer_id."""
    return f"{entity_id.removesuffix('_id')}_key"


def gone_on_of(contract: Contract) -> str:
    """The column with the date from which a customer, or an article, is no longer in the retailer's list."""
    (column,) = (column.name for column in contract.columns if column.name in ("delisted_date", "left_date"))
    return column


def _limit(
    measure: str, least: float | None, most: float | None, why: str, *, is_advisory: bool = False
) -> Expectation:
    """One limit of a measure, the least value or the greatest."""
    bound, word, value = ("min", "at least", least) if most is None else ("max", "at most", most)
    kwargs = {"column": measure, f"{bound}_value": value}
    description = f"{measure}: {word} {value:g} ({why})."
    return Expectation(f"expect_column_{bound}_to_be_between", kwargs, description, is_advisory)


def as_of_column() -> Column:
    """The column every as-of table starts with."""
    return Column("as_of_date", "date", "The run's date: nothing dated on or after it was used")


def contracts_by_name(contracts: Sequence[Contract]) -> dict[str, Contract]:
    """Index contracts by table name; raises ValueError on a name used twice."""
    index = {contract.name: contract for contract in contracts}
    if len(index) != len(contracts):
        raise ValueError("two contracts share a table name")
    return index
