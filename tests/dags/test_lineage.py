"""What a task READS is WRITTEN by a task before it in the DAG, or declared as a table of earlier runs."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def modules(dag: dict[str, Any]) -> dict[str, ModuleType]:
    """Task id -> the module it runs."""
    return {task: import_module(f"jobs.{task}") for task in dag["tasks"]}


def names(module: ModuleType, declaration: str) -> set[str]:
    """The table names in one of a module's declarations, which may be one contract or a tuple of them."""
    declared = getattr(module, declaration, ())
    return {table.name for table in (declared if isinstance(declared, tuple | list) else [declared])}


def ancestors(tasks: dict[str, list[str]], task: str) -> set[str]:
    """All tasks that end before this one starts."""
    return {earlier for parent in tasks[task] for earlier in {parent} | ancestors(tasks, parent)}


def test_what_a_task_reads_was_written_before(dag: dict[str, Any], modules: dict[str, ModuleType]) -> None:
    missing = {}
    for task, module in modules.items():
        written = set().union(*(names(modules[earlier], "WRITES") for earlier in ancestors(dag["tasks"], task)))
        missing[task] = names(module, "READS") - names(module, "READS_EARLIER_RUNS") - written
    assert {task: tables for task, tables in missing.items() if tables} == {}


def test_every_job_declares_what_it_reads_and_writes(modules: dict[str, ModuleType]) -> None:
    silent = [t for t, module in modules.items() if not hasattr(module, "READS") or not hasattr(module, "WRITES")]
    assert silent == []


def test_a_table_has_one_writer(modules: dict[str, ModuleType]) -> None:
    writers = Counter(table for module in modules.values() for table in names(module, "WRITES"))
    assert [table for table, count in writers.items() if count > 1 and table != "quarantine"] == []


def test_the_lineage_check_sees_a_missing_ancestor(dag: dict[str, Any], modules: dict[str, ModuleType]) -> None:
    """Cut one edge: the features no longer wait for the transactions they read."""
    cut = dag["tasks"] | {"features.customers": []}
    with pytest.raises(AssertionError, match=r"features\.customers"):
        test_what_a_task_reads_was_written_before({"tasks": cut}, modules)
