"""Prints the DAGs as one line of JSON, for tests in the environment that has no Airflow."""

from __future__ import annotations

import json

from dags import backtest, catalogue_intelligence, maintenance, model_systems, shop_events, weekly_recommendations

#: Operators that run a job.
OF_JOBS = ("JobOperator", "SparkJobOperator")


def described(dag):  # type: ignore[no-untyped-def]
    """The DAG's tasks with what they wait for and the jobs that they run, its form, and the assets it knows."""
    params = {name: dag.params.get_param(name) for name in dag.params}
    return {
        "tasks": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
        "jobs": {t.task_id: getattr(t, "job", t.task_id) for t in dag.tasks if t.task_type in OF_JOBS},
        "inlets": {task.task_id: sorted(asset.name for asset in task.inlets) for task in dag.tasks},
        "outlets": {task.task_id: sorted(asset.name for asset in task.outlets) for task in dag.tasks},
        "waits_for": [asset.name for asset in getattr(dag.timetable.asset_condition, "objects", [])],
        "params": {
            n: {"default": p.resolve(suppress_exception=True), "schema": p.schema, "description": p.description}
            for n, p in params.items()
        },
    }


MODULES = (weekly_recommendations, catalogue_intelligence, backtest, model_systems, maintenance, shop_events)
found = {module.dag.dag_id: described(module.dag) for module in MODULES}
found["catalogue_intelligence"]["made_from"] = catalogue_intelligence.METHODS
print(json.dumps(found))
