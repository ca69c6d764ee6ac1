"""How a job's exit code becomes a task's end. The jobs here are stand-ins: small shell scripts."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags import operators
from dags.operators import JobOperator, SparkJobOperator


def script(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def spark_submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spark-submit of our own, first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[2]"}')
    return tmp_path / "spark-submit"


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The jobs environment's Python, in a repository of our own."""
    monkeypatch.setattr(operators, "REPOSITORY", tmp_path)
    return tmp_path / ".venv" / "jobs" / "bin" / "python"


def test_a_spark_job_is_submitted_with_its_file_and_arguments(spark_submit: Path, tmp_path: Path) -> None:
    script(spark_submit, f'printf "%s\\n" "$@" > {tmp_path}/said')
    SparkJobOperator(task_id="ingest.articles", arguments=["--top-k=5"], outlets=[]).execute({})
    said = (tmp_path / "said").read_text().split("\n")
    application = str(operators.REPOSITORY / "jobs" / "ingest" / "articles.py")
    assert said[said.index("--master") + 1] == "local[2]"
    assert said[said.index(application) :][:2] == [application, "--top-k=5"]
    assert said[said.index(application) :][2].startswith("--published-file=")


def test_a_spark_jobs_own_error_is_not_retried(spark_submit: Path) -> None:
    script(spark_submit, 'echo noise; echo "ERROR ingest.articles: articles.csv: no column x" >&2; exit 2')
    with pytest.raises(AirflowFailException, match=r"articles\.csv: no column x") as caught:
        SparkJobOperator(task_id="ingest.articles", arguments=[]).execute({})
    assert caught.value.__suppress_context__, "spark-submit's command line says nothing of the job's own error"


def test_a_spark_job_that_dies_is_retried(spark_submit: Path) -> None:
    script(spark_submit, "echo OutOfMemoryError; exit 137")
    with pytest.raises(AirflowException, match="exit code 137: OutOfMemoryError") as caught:
        SparkJobOperator(task_id="ingest.articles", arguments=[]).execute({})
    assert not isinstance(caught.value, AirflowFailException)


def test_a_job_runs_as_a_module_with_its_arguments_as_they_are(python: Path, tmp_path: Path) -> None:
    script(python, f'printf "%s\\n" "$PWD" "$@" > {tmp_path}/said')
    JobOperator(task_id="ranking.train", arguments=["--data=/a b; rm -rf $HOME"], outlets=[]).execute({})
    expected = [str(tmp_path), "-m", "jobs.ranking.train", "--data=/a b; rm -rf $HOME"]
    assert (tmp_path / "said").read_text().splitlines()[:-1] == expected


def test_a_mapped_task_adds_its_own_arguments(python: Path, tmp_path: Path) -> None:
    script(python, f'printf "%s\\n" "$@" > {tmp_path}/said')
    own = {"arguments": ["--seed=1"], "more": ["--method=eigenfaces"]}
    JobOperator(task_id="similarity.similar_articles", outlets=[], **own).execute({})
    expected = ["-m", "jobs.similarity.similar_articles", "--seed=1", "--method=eigenfaces"]
    assert (tmp_path / "said").read_text().splitlines()[:-1] == expected


#: A job that says, as jobs.platform.job does, that it published one of its tables.
PUBLISHES = """
for argument; do file=${argument#--published-file=}; done
cat > "$file" <<END
{"as_of_date": "2020-09-16", "run_id": "r", "tables":
 {"silver/articles": {"delta_version": 3, "rows": 7, "data_docs": "w/data_docs/r/silver.articles.html"}}}
END
"""


#: The other tables of ingest.articles.
OTHERS = ("silver/article_attributes", "silver/quarantine", "ops/deliveries")


@pytest.mark.parametrize("operator", [JobOperator, SparkJobOperator])
def test_what_a_job_published_goes_into_its_outlets_events(operator: type, python: Path, spark_submit: Path) -> None:
    script(python, PUBLISHES)
    script(spark_submit, PUBLISHES)
    task = operator(task_id="ingest.articles", arguments=[])
    events = {asset: SimpleNamespace(extra={}) for asset in task.outlets}
    task.execute({"outlet_events": events, "params": {"data": "d", "top_k": 5}})
    extras = {asset.name: event.extra for asset, event in events.items()}
    of_run = {"as_of_date": "2020-09-16", "run_id": "r", "params": {"data": "d", "top_k": 5}}
    page = "w/data_docs/r/silver.articles.html"
    link = "http://localhost:8080/data-docs/r/silver.articles.html"
    published = {"published": True, "delta_version": 3, "rows": 7, "data_docs": page, "data_docs_link": link}
    assert extras.pop("silver/articles") == of_run | published
    assert extras == dict.fromkeys(OTHERS, of_run | {"published": False})


def test_a_jobs_own_error_is_not_retried(python: Path) -> None:
    script(python, 'echo "ERROR evaluation.gate: refused" >&2; exit 2')
    with pytest.raises(AirflowFailException, match=r"evaluation\.gate: refused"):
        JobOperator(task_id="evaluation.gate", arguments=[]).execute({})


def test_a_job_that_dies_is_retried(python: Path) -> None:
    script(python, "echo boom; exit 1")
    with pytest.raises(AirflowException, match="exit code 1: boom") as caught:
        JobOperator(task_id="evaluation.gate", arguments=[]).execute({})
    assert not isinstance(caught.value, AirflowFailException)


def test_killing_the_task_ends_the_job(python: Path, tmp_path: Path) -> None:
    script(python, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    operator = JobOperator(task_id="ranking.train", arguments=[])
    ended: list[BaseException] = []

    def run() -> None:
        try:
            operator.execute({})
        except AirflowException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not (tmp_path / "pid").exists():
        time.sleep(0.05)
    operator.on_kill()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert len(ended) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("operator", [JobOperator, SparkJobOperator])
def test_a_field_that_the_form_does_not_have_is_refused_before_anything_runs(operator: type, python: Path) -> None:
    context = {"dag_run": SimpleNamespace(conf={"topk": 3, "data": "d"}), "dag": SimpleNamespace(params={"data": "x"})}
    with pytest.raises(AirflowFailException, match="no such field: topk; this DAG has data"):
        operator(task_id="ingest.articles", arguments=[]).execute(context)
