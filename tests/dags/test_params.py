"""The DAGs' forms and the jobs' Settings are the same parameters: name, default, limits, words."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.platform.settings import Settings

SCHEMA = Settings.model_json_schema()["properties"]


#: Where a form differs from the settings: elsewhere than in its DAG nobody walks back.
OWN = {"backtest_weeks": {"default": 12, "minimum": 1}}


@pytest.fixture(params=["weekly_recommendations", "catalogue_intelligence", "backtest", "model_systems", "maintenance"])
def dag(dags: dict[str, dict[str, Any]], request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each DAG in turn, without what is no setting: which systems a run takes."""
    dag = dags[request.param]
    return dag | {"params": {name: param for name, param in dag["params"].items() if name != "systems"}}


def limits(schema: dict[str, Any]) -> dict[str, Any]:
    """What a JSON schema allows: bounds, choices and types, null among them, in one form for both sides."""
    options = schema.get("anyOf", [schema])
    types: set[str] = set()
    for option in options:
        kind = option.get("type", "string")
        types |= set(kind if isinstance(kind, list) else [kind])
    bounds = {
        key: value
        for option in options
        for key, value in option.items()
        if key in ("minimum", "maximum", "enum", "items")
    }
    return bounds | {"types": sorted(types)}


def test_every_param_is_a_setting_with_the_same_default(dag: dict[str, Any]) -> None:
    params = {name: param["default"] for name, param in dag["params"].items() if name != "as_of_date"}
    assert params == {name: (SCHEMA[name] | OWN.get(name, {})).get("default") for name in params}
    # The one that a job must be given: the DAG derives it.
    assert dag["params"].get("as_of_date", {"default": None})["default"] is None


def test_every_param_has_the_settings_limits(dag: dict[str, Any]) -> None:
    params = {name: limits(param["schema"]) for name, param in dag["params"].items() if name != "as_of_date"}
    assert params == {name: limits(SCHEMA[name] | OWN.get(name, {})) for name in params}


def test_every_param_is_explained_in_the_settings_words(dag: dict[str, Any]) -> None:
    params = {name: param["description"] for name, param in dag["params"].items() if name != "as_of_date"}
    assert params == {name: SCHEMA[name]["description"] for name in params}


def test_a_run_accepts_the_command_line_that_the_dag_writes(dag: dict[str, Any]) -> None:
    """Every task gets all params as --name=value, None as an empty value."""
    from pydantic_settings import CliApp

    values = {name: param["default"] for name, param in dag["params"].items()} | {"as_of_date": "2020-09-16"}
    values = {name: ",".join(v) if isinstance(v, list) else v for name, v in values.items()}
    arguments = [f"--{name.replace('_', '-')}={'' if v is None else v}" for name, v in values.items()]
    settings = CliApp.run(Settings, cli_args=[*arguments, "--run-id=scheduled__2020-09-16T00:00:00+00:00"])
    own = {name: differs["default"] for name, differs in OWN.items() if name in values}
    defaults = Settings(as_of_date="2020-09-16", **own).model_dump(exclude={"run_id"})
    assert settings.model_dump(exclude={"run_id"}) == defaults
    assert settings.run_id == "scheduled__2020-09-16T00:00:00+00:00"
