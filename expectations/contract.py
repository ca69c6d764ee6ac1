"""The table contract: one description from which schema, checks, comments and documentation are derived.

Pure Python on purpose: the Airflow environment, the Spark jobs and the documentation can all read a contract
without importing each other's libraries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Column types, spelled as in Spark DDL.
TYPES = ("string", "date", "int", "bigint", "double", "boolean", "array<float>")


@dataclass(frozen=True)
class Expectation:
    """A Great Expectations rule: its snake_case `type` and its keyword arguments."""

    type: str
    kwargs: Mapping[str, Any]


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

    def expectations(self) -> Iterator[Expectation]:
        """The rules on this column alone."""
        column = {"column": self.name}
        if not self.nullable:
            yield Expectation("expect_column_values_to_not_be_null", column)
        if self.minimum is not None or self.maximum is not None:
            bounds = {"min_value": self.minimum, "max_value": self.maximum}
            yield Expectation("expect_column_values_to_be_between", column | bounds)
        if self.allowed:
            yield Expectation("expect_column_values_to_be_in_set", column | {"value_set": list(self.allowed)})
        if self.pattern:
            yield Expectation("expect_column_values_to_match_regex", column | {"regex": self.pattern})
        if self.is_unique:
            yield Expectation("expect_column_values_to_be_unique", column)


@dataclass(frozen=True)
class Contract:
    """One table: where it lives, what a row is, its columns in order, its key and its partitioning.

    `key` is unique within the table; empty where identical rows are legitimate (several units of one purchase).
    `min_rows` is the least number of rows a run may publish.
    """

    layer: str
    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    min_rows: int = 1

    def __post_init__(self) -> None:
        names = self.column_names
        unknown = [c for c in (*self.key, *self.partition_by) if c not in names]
        if unknown or len(set(names)) != len(names):
            raise ValueError(f"contract {self.name}: duplicate columns, or key/partition not a column: {unknown}")

    @property
    def path(self) -> str:
        """Folder of the table below the warehouse root."""
        return f"{self.layer}/{self.name}"

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

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

    def constraints(self) -> dict[str, str]:
        """Delta CHECK constraints (name -> SQL): the last line of defence, enforced by every writer."""
        checks: dict[str, str] = {}
        for column in self.columns:
            absent = f"{column.name} IS NULL OR " if column.nullable else ""
            if column.minimum is not None:
                checks[f"{column.name}_minimum"] = f"{absent}{column.name} >= {column.minimum}"
            if column.maximum is not None:
                checks[f"{column.name}_maximum"] = f"{absent}{column.name} <= {column.maximum}"
        return checks


def key_of(entity_id: str) -> str:
    """The column that holds the surrogate key of an id column: customer_key of customer_id."""
    return f"{entity_id.removesuffix('_id')}_key"


def as_of_column() -> Column:
    """The column every as-of table starts with."""
    return Column("as_of_date", "date", "The run's date: nothing dated on or after it was used")


def contracts_by_name(contracts: Sequence[Contract]) -> dict[str, Contract]:
    """Index contracts by table name; raises ValueError on a name used twice."""
    index = {contract.name: contract for contract in contracts}
    if len(index) != len(contracts):
        raise ValueError("two contracts share a table name")
    return index
