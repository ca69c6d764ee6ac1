"""Running a job: one line for what a person can mend (code 2), one line and Python frames for a fault (code 1)."""

from __future__ import annotations

import ast
import json
import sys
from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from jobs.features import customers
from jobs.platform.errors import ContractError, JobError
from jobs.platform.job import Job, job_name, run
from jobs.platform.settings import Settings
from tests.jobs.platform.things import DAY, THINGS, arrow, day, frame


@pytest.fixture
def outcome(monkeypatch, capsys, tmp_path):
    """Runs `main` as features.customers would be, and gives exit code, stdout and stderr."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", customers.__file__, raising=False)

    def outcome(main, *arguments: str, writes=()):
        argv = arguments or ("--as-of-date", "2020-09-16", "--warehouse", str(tmp_path))
        settings = ("accept_drift", "encoder", "top_k")
        with pytest.raises(SystemExit) as left:
            run(main, reads=(), writes=writes, settings=settings, argv=argv)
        return left.value.code, *capsys.readouterr()

    return outcome


def _raise(error: Exception):
    def main(job: Job) -> str:
        raise error

    return main


def test_success_is_one_line(outcome):
    code, out, _ = outcome(lambda job: f"{job.settings.top_k} things")
    assert code == 0
    assert out == "features.customers: 12 things (0 s)\n"


@pytest.mark.parametrize("kind", [JobError, ContractError])
def test_what_a_person_can_mend_is_one_line_and_code_2(outcome, kind):
    code, out, err = outcome(_raise(kind("articles.csv: no column article_id")))
    assert (code, out) == (2, "")
    assert err == "ERROR features.customers: articles.csv: no column article_id\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--top-k", "31"), "as_of_date: Field required; top_k: Input should be less than or equal to 30"),
        (("--as-of-date", "20200916"), "as_of_date: '20200916' is no day written as YYYY-MM-DD"),
        (("--as-of-date", "2020-09-17"), "as-of-date 2020-09-17 is a Thursday: weeks run Wednesday to Wednesday"),
        (("--as-of-date", "0001-01-01"), "as_of_date: 0001-01-01 is not between 1980-01-01 and 2200-01-01"),
        (("--as-of-date", "2020-09-16", "--warehouse", ""), "warehouse: '' names no place: give a folder or"),
        (("--as-of-date", "2020-09-16", "--warehouse", "a%20b"), "'%20' in a folder's name is read as something else"),
        (("--as-of-date", "2020-09-16", "--warehouse", "shop #1"), "'#' in a folder's name is read as something else"),
        (("--as-of-date", "2020-09-16", "--warehouse", "a?b"), "'?' in a folder's name is read as something else"),
        (("--as-of-date", "2020-09-16", "--run-id", "r" * 300), "run_id: String should have at most 250 characters"),
        (("--as-of-date", "2020-09-16", "--encoder", "vgg"), "encoder: Input should be 'efficientnet_lite0', "),
        (
            ("--as-of-date", "2020-09-16", "--nonsense", "1"),
            "ERROR features.customers: unrecognized arguments",
        ),
        (("--as-of-date", "2020-09-16", "--seed=1"), "unrecognized arguments: --seed=1; `python -m jobs.features.cust"),
    ],
)
def test_bad_parameters_are_code_2(outcome, arguments, words):
    code, out, err = outcome(lambda job: "never", *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert words in line


def test_help_says_what_the_job_does(outcome, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__doc__", "Customer features as of a date.\n\nOn one device.")
    code, out, _ = outcome(lambda job: "never", "--help")
    assert code == 0 and "\nCustomer features as of a date.\n\nOn one device.\n" in out and "--top-k" in out


@pytest.mark.parametrize(
    "job",
    [
        "embeddings.images",
        "embeddings.autoencoder_sweep",
        "ranking.train",
        "evaluation.backtest",
        "evaluation.paper_track",
        "evaluation.weekly_protocol",
        "evaluation.next_purchase",
    ],
)
def test_a_job_that_fits_networks_says_on_which_devices(job):
    source = Path(customers.__file__).parents[1].joinpath(*job.split(".")).with_suffix(".py").read_text()
    assert "on one device, the first GPU where there is" in " ".join(
        (ast.get_docstring(ast.parse(source)) or "").split()
    )


def test_a_fault_is_code_1_with_the_frames_that_led_there(outcome):
    code, _, err = outcome(_raise(KeyError("price")))
    assert code == 1
    assert err.splitlines()[0] == "ERROR features.customers: KeyError: 'price'"
    assert "in main" in err


def test_what_may_not_be_read_or_written_is_one_line_and_code_2(outcome):
    for number, words in ((13, "Permission denied"), (30, "Read-only file system")):
        code, _, err = outcome(_raise(OSError(number, words, "/warehouse/silver")))
        (line,) = err.splitlines()
        assert code == 2 and f"[Errno {number}] {words}: '/warehouse/silver'; let user" in line


def test_a_fault_in_spark_brings_no_page_of_java(outcome, spark):
    def main(job: Job) -> str:
        spark.range(3).selectExpr("1 / (id - 1)").collect()
        return "never"

    code, _, err = outcome(main)
    assert code == 1
    assert err.startswith("ERROR features.customers: ")
    assert "DIVIDE_BY_ZERO" in err.splitlines()[0]
    assert "org.apache.spark.sql.catalyst" not in err and "\tat " not in err
    assert len(err.splitlines()) < 20


def test_what_a_worker_finds_is_said_as_if_the_job_had(outcome, spark):
    """Once as no rerun mends it, once as one may."""

    def failing(error: Exception):
        def kernel(batches):
            raise error

        def main(job: Job) -> str:
            spark.range(3).mapInArrow(kernel, "id bigint").collect()
            return "never"

        return main

    code, _, err = outcome(failing(JobError("articles.parquet: damaged; deliver it again")))
    assert (code, err) == (2, "ERROR features.customers: articles.parquet: damaged; deliver it again\n")
    code, _, err = outcome(failing(ConnectionError("no store at s3://shop")))
    assert code == 1 and err.splitlines()[0].endswith("ConnectionError: no store at s3://shop")


def test_publish_and_read_through_a_job(outcome, spark):
    def main(job: Job) -> str:
        count = job.publish(THINGS, arrow(day(DAY, 1.0)), {"as_of_date": [DAY]})
        count += job.publish(THINGS, frame("spark", day(DAY, 1.0, 2.0), spark), {"as_of_date": [DAY]})
        return (
            f"{count} written, {job.read_arrow(THINGS).num_rows} there, {job.warehouse.commit_metadata(THINGS)['job']}"
        )

    _, out, _ = outcome(main, writes=(THINGS,))
    assert out.startswith("features.customers: 3 written, 2 there, features.customers (")


def test_a_job_says_what_it_published(outcome, tmp_path):
    def main(job: Job) -> str:
        for value in (1.0, 2.0):
            job.publish(THINGS, arrow(day(DAY, value)), {"as_of_date": [DAY]})
        return "done"

    file, warehouse = tmp_path / "published.json", tmp_path / "w"
    flags = ("--as-of-date", "2020-09-16", "--run-id", "r", "--warehouse", str(warehouse))
    outcome(main, *flags, "--published-file", str(file), writes=(THINGS,))
    said = json.loads(file.read_text())
    table = said["tables"].pop(THINGS.path)
    assert said == {"as_of_date": "2020-09-16", "run_id": "r", "tables": {}}
    assert (table["rows"], table["delta_version"]) == (2, DeltaTable(warehouse / THINGS.path).version())
    assert Path(table["data_docs"]).is_file()
    (record,) = json.loads((Path(table["data_docs"]).parent / "run.json").read_text())
    assert record["started"] <= record["time"], "for the run time of the task"


def test_a_job_that_fails_says_nothing_of_what_it_published(outcome, tmp_path):
    file = tmp_path / "published.json"
    flags = ("--as-of-date", "2020-09-16", "--warehouse", str(tmp_path), "--published-file", str(file))
    code, *_ = outcome(_raise(JobError("no")), *flags)
    assert code == 2 and not file.exists()


def test_undeclared_tables_are_refused(tmp_path):
    settings = Settings(as_of_date=date(2020, 9, 16), warehouse=str(tmp_path))
    job = Job("features.customers", settings, reads=(CUSTOMERS,), writes=())
    with pytest.raises(AssertionError, match=r"features.customers touches articles without declaring it"):
        job.read_arrow(ARTICLES)
    with pytest.raises(AssertionError, match="touches customers"):
        job.publish(CUSTOMERS, arrow([]), {})
    with pytest.raises(JobError, match="no such table"):
        job.read_arrow(CUSTOMERS)


def test_the_name_is_the_module_path():
    assert job_name(customers.__file__) == "features.customers"
    with pytest.raises(ValueError):
        job_name(str(Path("/elsewhere/customers.py")))
