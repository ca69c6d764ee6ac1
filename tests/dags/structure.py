"""Prints the DAG as one line of JSON, for tests in the environment that has no Airflow."""

from __future__ import annotations

import json

from dags.weekly_recommendations import dag

tasks = {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
params = {name: dag.params.get_param(name) for name in dag.params}
print(
    json.dumps(
        {
            "tasks": tasks,
            "params": {
                n: {"default": p.value, "schema": p.schema, "description": p.description} for n, p in params.items()
            },
        }
    )
)
