"""What a task READS is WRITTEN by a task before it in the DAG, or declared as a table of earlier runs."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from inspect import getsource
from types import ModuleType
from typing import Any, get_args

import pytest

from expectations.events import ARTICLE_ATTRIBUTES
from expectations.operations import DELIVERIES, FEATURE_SLICES
from expectations.tagging import TAGGING_METRICS
from expectations.transactions import QUARANTINE
from jobs.platform.settings import Settings
from jobs.recommenders.registry import SYSTEMS
from jobs.similarity.methods import METHODS


@pytest.fixture(scope="module")
def modules(dags: dict[str, dict[str, Any]]) -> dict[str, dict[str, ModuleType]]:
    """DAG id -> task id -> the module it runs."""
    return {name: {task: import_module(f"jobs.{job}") for task, job in d["jobs"].items()} for name, d in dags.items()}


def names(module: ModuleType, declaration: str) -> set[str]:
    """The table names in one of a module's declarations, which may be one contract or a tuple of them."""
    declared = getattr(module, declaration, ())
    return {table.name for table in (declared if isinstance(declared, tuple | list) else [declared])}


def ancestors(tasks: dict[str, list[str]], task: str) -> set[str]:
    """All tasks that end before this one starts."""
    return {earlier for parent in tasks[task] for earlier in {parent} | ancestors(tasks, parent)}


#: What has run before a DAG that nothing starts by itself: DAG -> another, and the last of its tasks that are needed.
STANDS_ON = {
    "backtest": ("weekly_recommendations", ("ingest.transactions", "embeddings.images")),
    "model_systems": (
        "weekly_recommendations",
        ("features.customers", "features.articles", "features.interactions", "embeddings.images"),
    ),
}


def unwritten(dags: dict[str, dict[str, Any]], name: str, modules: dict[str, dict[str, ModuleType]]) -> dict[str, set]:
    """Task -> tables that it reads and that no task before it writes, in its DAG or in those it comes after."""
    dag, given = dags[name], set[str]()
    other, tasks = STANDS_ON.get(name, ("", ()))
    done = [(other, task) for task in tasks]
    for other, described in dags.items():
        if other == "weekly_recommendations" != name:
            found = described["outlets"].items()
            done += [(other, task) for task, assets in found if set(assets) & set(dag["waits_for"])]
    for other, task in done:
        before = {task} | ancestors(dags[other]["tasks"], task)
        given |= set().union(*(names(modules[other][earlier], "WRITES") for earlier in before))
    missing = {}
    for task, module in modules[name].items():
        earlier = ancestors(dag["tasks"], task) & modules[name].keys()
        written = given.union(*(names(modules[name][other], "WRITES") for other in earlier))
        missing[task] = names(module, "READS") - names(module, "READS_EARLIER_RUNS") - written
    return {task: tables for task, tables in missing.items() if tables}


WITH_LINEAGE = ("weekly_recommendations", "catalogue_intelligence", "backtest", "model_systems", "shop_events")


@pytest.mark.parametrize("name", WITH_LINEAGE)
def test_what_a_task_reads_was_written_before(dags: dict[str, dict[str, Any]], name: str, modules) -> None:
    assert unwritten(dags, name, modules) == {}


def test_every_job_declares_what_it_reads_and_writes(modules: dict[str, dict[str, ModuleType]]) -> None:
    jobs = {module for name in WITH_LINEAGE for module in modules[name].values()}
    assert [module for module in jobs if not hasattr(module, "READS") or not hasattr(module, "WRITES")] == []


def test_a_job_that_reads_earlier_runs_may(modules: dict[str, dict[str, ModuleType]]) -> None:
    jobs = {module for name in WITH_LINEAGE for module in modules[name].values()}
    readers = [module for module in jobs if hasattr(module, "READS_EARLIER_RUNS")]
    assert len(readers) > 3
    assert [m.__name__ for m in readers if "reads=READS + READS_EARLIER_RUNS" not in getsource(m)] == []


def test_a_tasks_assets_are_its_jobs_tables(
    dags: dict[str, dict[str, Any]], modules: dict[str, dict[str, ModuleType]]
) -> None:
    for name in WITH_LINEAGE:
        for task, module in modules[name].items():
            assert dags[name]["outlets"][task] == sorted(table.path for table in module.WRITES)
            read = {*module.READS, *getattr(module, "READS_EARLIER_RUNS", ())}
            files = [f"delivered/{part}" for part in getattr(module, "FILES", ())]
            assert dags[name]["inlets"][task] == sorted([*files, *(table.path for table in read)])


def test_housekeeping_updates_no_asset(dags: dict[str, dict[str, Any]]) -> None:
    """It writes to every table and changes no row: who waits for new rows must not be started by it."""
    assert dags["maintenance"]["outlets"] == {"maintenance.optimize_and_vacuum": []}


def test_the_way_from_the_delivery_to_the_recommendations_has_no_gap(dag: dict[str, Any]) -> None:
    known = {"delivered/articles", "delivered/customers", "delivered/transactions", "delivered/images"}
    sources = {asset for task in dag["inlets"].values() for asset in task if asset.startswith("delivered/")}
    assert sources == known
    for _ in dag["tasks"]:
        for task, inlets in dag["inlets"].items():
            known |= set(dag["outlets"][task]) if known & set(inlets) else set()
    assert "gold/recommendations" in known


def test_a_table_has_one_writer(modules: dict[str, dict[str, ModuleType]]) -> None:
    """But for the tables that jobs keep about their own runs, figures and files, each in partitions of its own."""
    shared = {QUARANTINE.name, DELIVERIES.name, FEATURE_SLICES.name, TAGGING_METRICS.name, ARTICLE_ATTRIBUTES.name}
    jobs = {module for name in WITH_LINEAGE for module in modules[name].values()}
    writers = Counter(table for module in jobs for table in names(module, "WRITES"))
    assert [table for table, count in writers.items() if count > 1 and table not in shared] == []


def test_the_lineage_check_sees_a_missing_ancestor(dags: dict[str, dict[str, Any]], modules) -> None:
    """Cut one edge: the features no longer wait for the transactions they read."""
    weekly = dags["weekly_recommendations"]
    cut = dags | {"weekly_recommendations": weekly | {"tasks": weekly["tasks"] | {"features.customers": []}}}
    assert "features.customers" in unwritten(cut, "weekly_recommendations", modules)


def test_the_lineage_check_sees_an_asset_that_is_not_waited_for(dags: dict[str, dict[str, Any]], modules) -> None:
    """Of the label week's purchases the figures would know nothing."""
    hasty = dags["catalogue_intelligence"] | {"waits_for": ["silver/articles"]}
    missing = unwritten(dags | {"catalogue_intelligence": hasty}, "catalogue_intelligence", modules)
    assert missing == {"similarity.quality": {"customers", "transactions"}}


def test_the_lineage_check_sees_a_backtest_without_its_features(dags: dict[str, dict[str, Any]], modules) -> None:
    backtest = dags["backtest"]
    hasty = backtest | {"tasks": backtest["tasks"] | {"evaluation.backtest": ["features.articles", "weeks"]}}
    missing = unwritten(dags | {"backtest": hasty}, "backtest", modules)
    assert missing == {"evaluation.backtest": {"customer_features", "interaction_features"}}


def made_from(name: str) -> tuple[set[str], set[str], bool]:
    """The image encoders, text encoders and joint heads that a method's picks are made from."""
    method = METHODS[name]
    if method.parts:
        images, texts, is_joint = zip(*map(made_from, method.parts), strict=True)
        return set().union(*images), set().union(*texts), any(is_joint)
    if method.is_joint:
        return {"efficientnet_lite0_colour"}, {"minilm"}, True
    return {method.encoder} - {None}, {method.text_encoder} - {None}, False


def test_the_catalogue_dag_knows_what_every_method_is_made_from(dags: dict[str, dict[str, Any]]) -> None:
    known = {
        name: ({image} - {None}, set(texts), is_joint)
        for name, (image, texts, is_joint) in dags["catalogue_intelligence"]["made_from"].items()
    }
    assert known == {name: made_from(name) for name in METHODS}
    assert set(METHODS) == set(get_args(Settings.model_fields["method"].annotation))


def test_every_system_is_judged_both_ways_after_the_keywords_it_looks_at(
    dags: dict[str, dict[str, Any]],
) -> None:
    tasks = dags["model_systems"]["tasks"]
    for job in ("evaluation.weekly_protocol", "evaluation.next_purchase"):
        assert sorted(tasks[job]) == ["features.keywords", "systems"]
    assert set(SYSTEMS) == set(get_args(Settings.model_fields["system"].annotation))
