"""The weekly DAG run by Airflow itself on a tiny sample: a week, the same week again, and an older week backfilled."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from expectations.registry import CONTRACTS
from scripts.airflow_api import DAG_ID, AirflowApi

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(2400)]

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv" / "airflow" / "bin" / "python")
JOBS_PYTHON = str(ROOT / ".venv" / "jobs" / "bin" / "python")

OLDER, WEEK = date(2020, 9, 9), date(2020, 9, 16)
RUN_SECONDS = 1500
#: Of the catalogue DAG: by a picture, by words, and by an encoder whose weights are not here.
PICTURE, WORDS, ABSENT = METHODS = ("cosine_efficientnet_lite0_colour", "tfidf", "cosine_resnet152")
TOP_K = 12


@dataclass
class Stack:
    """Airflow and MLflow of our own, with a warehouse and a sample of our own."""

    folder: Path

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    @property
    def home(self) -> Path:
        return self.folder / "airflow"

    @property
    def conf(self) -> dict[str, Any]:
        """The run's params: everything as small as it goes."""
        places = {"data": str(self.folder / "data"), "warehouse": str(self.warehouse)}
        return places | {"encoder": "efficientnet_lite0", "training_weeks": 2, "max_epochs": 1, "top_k": TOP_K}

    def call(self, *command: str) -> str:
        """Run a command of the repository on this stack; its output."""
        environment = os.environ | {"ATELIER_AIRFLOW_HOME": str(self.home), "ATELIER_METHODS": ",".join(METHODS)}
        outcome = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert outcome.returncode == 0, f"{command}\n{outcome.stdout[-3000:]}\n{outcome.stderr[-3000:]}"
        return outcome.stdout

    def port(self, service: str) -> int:
        return json.loads((self.home / "services.json").read_text())[service]["port"]

    def api(self, dag_id: str = DAG_ID) -> AirflowApi:
        password = json.loads((self.home / "passwords.json").read_text())["admin"]
        return AirflowApi(self.port("api-server"), password, dag_id)

    def wait(self, run_id: str, dag_id: str = DAG_ID, but: Sequence[str] = ()) -> None:
        """Until the run has ended, well but for these tasks (`named`); otherwise fail with the end of their logs."""
        api, deadline = self.api(dag_id), time.monotonic() + RUN_SECONDS
        while (state := api.run_state(run_id)) not in ("success", "failed"):
            assert time.monotonic() < deadline, f"{run_id} is still {state}"
            time.sleep(1)
        others = {name for name, task in named(api.tasks(run_id)).items() if task["state"] != "success"}
        logs = [path.read_text()[-3000:] for name in others ^ set(but) for path in self.logs(name)]
        assert state == ("failed" if but else "success") and others == set(but), (others, logs)

    def logs(self, name: str) -> list[Path]:
        """The logs of a task, of all that it is mapped over, oldest first."""
        return sorted(self.home.glob(f"logs/**/task_id={name.partition(' ')[0]}/**/*.log"))

    def tables(self) -> dict[str, pl.DataFrame]:
        """Every table there is, by name, rows in an order of their own."""
        found = {}
        for name, contract in CONTRACTS.items():
            path = self.warehouse / contract.layer / name
            if path.exists():
                rows = pl.from_arrow(DeltaTable(path).to_pyarrow_table())
                assert isinstance(rows, pl.DataFrame)
                found[name] = rows.sort(list(contract.key) or rows.columns)
        return found


def named(tasks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Tasks by their id and, where they are mapped, a blank and their label."""
    return {
        f"{task['task_id']} {task['rendered_map_index']}" if task["map_index"] >= 0 else task["task_id"]: task
        for task in tasks
    }


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.call(
        JOBS_PYTHON, "-m", "sample_data", "generate", "--preset", "tiny", "--images", "48", "--out", stack.conf["data"]
    )
    try:
        stack.call(PYTHON, "-m", "scripts.services", "up", "--warehouse", str(stack.warehouse))
        yield stack
    finally:
        stack.call(PYTHON, "-m", "scripts.services", "down")


@pytest.fixture(scope="module")
def first(stack: Stack) -> dict[str, pl.DataFrame]:
    """The tables after one run of the week."""
    stack.wait(stack.api().trigger(WEEK, stack.conf))
    return stack.tables()


def test_every_table_is_there_and_opens_without_spark(stack: Stack, first: dict[str, pl.DataFrame]) -> None:
    jobs = json.loads((ROOT / "dags" / "jobs.json").read_text())["jobs"]
    api = stack.api()
    tasks = {task["task_id"] for run_id in api.run_ids() for task in api.tasks(run_id)}
    written = {path.partition("/")[2] for task in tasks for path in jobs[task]["writes"]}
    may_be_empty = {"quarantine", "realised_performance"}  # clean data, and no week before
    may_be_empty |= {"article_attributes", "recommendation_performance"}  # H&M's mapping names none; no log yet
    if not first["model_decisions"]["is_promoted"].item():
        may_be_empty.add("candidates")  # one epoch on a tiny shop need not beat the baselines
    assert len(written) > 15 and written - set(first) <= may_be_empty
    assert {name for name, rows in first.items() if rows.is_empty()} <= may_be_empty


def test_every_customer_has_exactly_k_distinct_existing_articles(first: dict[str, pl.DataFrame]) -> None:
    picks = first["recommendations"]
    assert picks["as_of_date"].unique().to_list() == [WEEK]
    per_customer = picks.group_by("customer_id").agg(
        pl.col("article_id").n_unique().alias("articles"), pl.col("rank").sort().alias("ranks")
    )
    assert set(per_customer["customer_id"]) == set(first["customers"]["customer_id"])
    assert per_customer["articles"].unique().to_list() == [TOP_K]
    assert all(ranks == list(range(1, TOP_K + 1)) for ranks in per_customer["ranks"].to_list())
    assert set(picks["article_id"]) <= set(first["articles"]["article_id"])


def test_the_interfaces_answer_on_this_machine(stack: Stack, first: dict[str, pl.DataFrame]) -> None:
    for service, path in (("api-server", "/"), ("mlflow", "/health")):
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.port(service)}{path}", timeout=30) as answer:
            assert answer.status == 200


def test_every_published_table_has_an_event_with_version_rows_and_page(
    stack: Stack, first: dict[str, pl.DataFrame]
) -> None:
    extras = {(event["source_task_id"], event["name"]): event["extra"] for event in stack.api().asset_events()}
    published = {key: extra for key, extra in extras.items() if extra["published"]}
    recorded = {table for _, table in published}
    always = {"articles", "customers", "transactions", "evaluation_metrics", "model_decisions", "recommendations"}
    assert {CONTRACTS[name].path for name in always} <= recorded
    for (task, table), extra in published.items():
        page = Path(extra["data_docs"])
        assert page.is_file() and page.is_relative_to(stack.warehouse / "data_docs"), (task, table)
        assert (extra["as_of_date"], extra["params"]["top_k"]) == (WEEK.isoformat(), TOP_K)
        if table in ("silver/articles", "gold/recommendations"):  # which one publish makes
            rows = len(first[table.partition("/")[2]])
            assert (extra["rows"], extra["delta_version"]) == (rows, DeltaTable(stack.warehouse / table).version())


def test_the_page_of_a_publish_is_shown_to_who_is_logged_in(stack: Stack, first: dict[str, pl.DataFrame]) -> None:
    api = stack.api()
    link = next(e["extra"]["data_docs_link"] for e in api.asset_events() if e["name"] == "gold/recommendations")
    logged_in = urllib.request.Request(link, headers={"Cookie": f"_token={api._token}"})
    with urllib.request.urlopen(logged_in, timeout=30) as answer:
        assert answer.url == link and "gold/recommendations" in answer.read().decode()
    with urllib.request.urlopen(link, timeout=30) as answer:
        assert "/auth/login" in answer.url


def test_the_same_week_again_leaves_the_same_tables(stack: Stack, first: dict[str, pl.DataFrame]) -> None:
    run_id = stack.api().trigger(WEEK, stack.conf)
    stack.wait(run_id)
    assert {task["try_number"] for task in stack.api().tasks(run_id)} == {2}
    again = stack.tables()
    assert set(again) == set(first)
    assert [name for name, rows in again.items() if not rows.equals(first[name])] == []


def test_an_older_week_backfilled_overwrites_nothing_newer(stack: Stack, first: dict[str, pl.DataFrame]) -> None:
    start = "2020-09-02"  # of the week that ends on OLDER
    command = [str(ROOT / "scripts" / "airflow"), "backfill", "create", "--dag-id", DAG_ID]
    command += ["--from-date", start, "--to-date", start, "--dag-run-conf", json.dumps(stack.conf)]
    before = stack.tables()
    stack.call(*command, "--max-active-runs", "1")
    run_id = next(run for run in stack.api().run_ids() if run.startswith("backfill__"))
    stack.wait(run_id)
    after = stack.tables()
    assert set(after["recommendations"]["as_of_date"]) == {OLDER, WEEK}
    for name, rows in before.items():
        kept = after[name]
        if "as_of_date" in rows.columns:
            rows, kept = (table.filter(pl.col("as_of_date") > OLDER) for table in (rows, kept))
        elif name == "interaction_features":  # one slice per week: the backfill adds the weeks it looks back on
            kept = kept.filter(pl.col("week_start_date").is_in(rows["week_start_date"].unique().implode()))
        elif name == "feature_slices":  # likewise
            kept = kept.filter(pl.col("slice").is_in(rows["slice"].unique().implode()))
        assert kept.equals(rows), name


def test_the_model_systems_dag_judges_the_systems_of_its_form(stack: Stack, first: dict[str, pl.DataFrame]) -> None:
    """A factorisation and a network."""
    name, systems = "model_systems", ["als", "gru"]
    api = stack.api(name)
    api.prepare()
    places = {key: stack.conf[key] for key in ("data", "warehouse", "encoder", "top_k")}
    conf = places | {"as_of_date": WEEK.isoformat(), "systems": systems, "system_epochs": 1}
    run_id = api.trigger(WEEK, conf)
    stack.wait(run_id, name)
    ran = sorted((task["task_id"], task["rendered_map_index"]) for task in api.tasks(run_id) if task["map_index"] >= 0)
    assert ran == [(f"evaluation.{job}", system) for job in ("next_purchase", "weekly_protocol") for system in systems]
    tables, baselines = stack.tables(), {"popularity_7d", "own_recent_purchases", "own_recent_then_popularity", "rules"}
    picks = tables["system_recommendations"]
    assert picks["as_of_date"].unique().to_list() == [WEEK] and set(picks["system"]) == set(systems)
    per_list = picks.group_by("system", "customer_id").len()["len"]
    assert per_list.unique().to_list() == [TOP_K] and len(per_list) == len(systems) * len(tables["customers"])
    for figures in ("system_metrics", "next_purchase_metrics"):
        assert set(tables[figures]["system"]) == {*systems, *baselines}


def test_what_was_taken_in_starts_the_catalogue_dag(stack: Stack, first: dict[str, pl.DataFrame]) -> None:
    name, weekly = "catalogue_intelligence", stack.api()
    published = [event for event in weekly.asset_events() if event["extra"]["published"]]  # a rerun publishes nothing
    events = {event["name"]: event for event in published}
    waits_for = {"silver/articles": "ingest.articles", "silver/transactions": "ingest.transactions"}
    assert {asset: events[asset]["source_task_id"] for asset in waits_for} == waits_for
    extra = events["silver/articles"]["extra"]
    assert stack.conf.items() <= extra["params"].items()
    assert extra["as_of_date"] in (WEEK.isoformat(), OLDER.isoformat())
    assert extra["rows"] and extra["delta_version"] and Path(extra["data_docs"]).is_file()
    api = stack.api(name)
    api.prepare()
    assert api.run_ids() == []  # it was paused when the weekly run told it
    no_weights = stack.folder / "weights"
    no_weights.mkdir()
    params = extra["params"] | {"weights_dir": str(no_weights)}
    for asset in waits_for:
        weekly.update_asset(asset, {"as_of_date": WEEK.isoformat(), "params": params})
    deadline = time.monotonic() + 60
    while not api.run_ids() and time.monotonic() < deadline:
        time.sleep(1)
    (run_id,) = api.run_ids()
    assert not [run for run in weekly.run_ids() if run.startswith("scheduled__")]  # today's week, of data of the past
    absent = ABSENT.removeprefix("cosine_")
    failed = [f"embeddings.images {absent}", f"similarity.similar_articles {ABSENT}", "any_failed"]
    stack.wait(run_id, name, [*failed, "embeddings.joint"])  # which nothing asked for needs
    ran = {task for task, found in named(api.tasks(run_id)).items() if found["state"] == "success"}
    encoders = {f"embeddings.images {PICTURE.removeprefix('cosine_')}", f"embeddings.texts {WORDS}"}
    assert encoders | {f"similarity.similar_articles {method}" for method in (PICTURE, WORDS)} <= ran
    assert any("no such file; put torchvision's" in log.read_text() for log in stack.logs("embeddings.images"))
    tables = stack.tables()
    assert set(tables["image_features"]["article_id"]) == set(tables["articles"]["article_id"])
    assert {"article_tags", "label_audit", "tagging_metrics"} <= tables.keys()
    similar, figures = tables["similar_articles"], tables["similarity_metrics"]
    assert set(similar["method"]) == {PICTURE, WORDS} <= set(figures["system"])
    assert figures["as_of_date"].unique().to_list() == [WEEK]
    pictures = tables["article_embeddings"].filter(pl.col("encoder").str.starts_with("efficientnet_lite0_colour"))
    with_picture = set(pictures.filter(pl.col("image_status") == "ok")["article_id"])
    assert set(similar.filter(pl.col("method") == PICTURE)["article_id"]) == with_picture
