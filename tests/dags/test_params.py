"""The DAGs' forms are the jobs' Settings: what jobs.json says, and what the jobs accept."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_settings import CliApp

from jobs.platform import dag_interface
from jobs.platform.settings import Settings

#: Where a form differs from the settings: elsewhere than in its DAG nobody walks back.
OWN = {"backtest": {"backtest_weeks": {"default": 12, "minimum": 1}}}


DAGS = ("weekly_recommendations", "catalogue_intelligence", "backtest", "model_systems", "maintenance", "shop_events")


@pytest.fixture(params=DAGS)
def dag(dags: dict[str, dict[str, Any]], request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each DAG in turn, without what is no setting: which systems or methods a run takes."""
    dag = dags[request.param]
    own = OWN.get(request.param, {})
    return dag | {
        "own": own,
        "params": {name: param for name, param in dag["params"].items() if name not in ("systems", "methods")},
    }


def test_the_generated_file_is_what_the_jobs_declare() -> None:
    assert dag_interface.main(["--check"]) == 0, "run `make docs`"


def test_a_changed_file_is_seen(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_interface, "PAGE", tmp_path / "jobs.json")
    assert (dag_interface.main(["--check"]), dag_interface.main([]), dag_interface.main(["--check"])) == (1, 0, 0)
    dag_interface.PAGE.write_text(dag_interface.PAGE.read_text().replace('"maximum": 30', '"maximum": 31'))
    assert (dag_interface.main(["--check"]), dag_interface.main(["--chekc"])) == (1, 2)


def test_every_param_is_a_setting(dag: dict[str, Any]) -> None:
    """Default, limits and words; but for the as-of date, which a DAG may derive."""
    settings = dag_interface.settings()
    params = {name: param for name, param in dag["params"].items() if name != "as_of_date"}
    for name, param in params.items():
        setting = settings[name] | dag["own"].get(name, {})
        assert param["default"] == setting.pop("default")
        assert param["description"] == setting.pop("description")
        assert param["schema"] == setting
    assert dag["params"].get("as_of_date", {"default": None})["default"] is None


def test_every_job_accepts_the_command_line_that_its_dag_writes(dag: dict[str, Any]) -> None:
    """None as an empty value, several with commas between; what the DAG gives beside is checked where it is written."""
    values = {name: param["default"] for name, param in dag["params"].items()}
    values |= {"as_of_date": "2020-09-16", "run_id": "scheduled__2020-09-16T00:00:00+00:00", "published_file": "/p"}
    texts = {name: ",".join(v) if isinstance(v, list) else "" if v is None else v for name, v in values.items()}
    jobs = {module.__name__.removeprefix("jobs."): dag_interface.job(module) for module in dag_interface.modules()}
    for job in set(dag["jobs"].values()):
        taken = [name for name in jobs[job]["settings"] if name in texts]
        arguments = [f"--{name.replace('_', '-')}={texts[name]}" for name in taken]
        given = CliApp.run(Settings.of(job, jobs[job]["settings"]), cli_args=arguments).model_dump()
        expected = Settings(**{name: values[name] for name in taken}).model_dump()
        assert given == {name: expected[name] for name in given}
