"""Prints the DAGs as one line of JSON, for tests in the environment that has no Airflow."""

from __future__ import annotations

import json

from dags import maintenance, weekly_recommendations


def described(dag):  # type: ignore[no-untyped-def]
    """The DAG's tasks with what they wait for, and the fields of its form."""
    params = {name: dag.params.get_param(name) for name in dag.params}
    return {
        "tasks": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
        "params": {
            n: {"default": p.value, "schema": p.schema, "description": p.description} for n, p in params.items()
        },
    }


print(json.dumps({module.dag.dag_id: described(module.dag) for module in (weekly_recommendations, maintenance)}))
