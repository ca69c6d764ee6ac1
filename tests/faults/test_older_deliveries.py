"""Two runs at once, each with another delivery of the same name: the one that commits last may have the older one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.transactions import TRANSACTIONS
from jobs.ingest import articles, customers, transactions
from jobs.platform.errors import JobError
from jobs.platform.job import EXIT_JOB_ERROR, Job
from tests.faults.shop import ROOT, SECONDS
from tests.jobs.ingest.retail import (
    A1,
    A2,
    A3,
    ARTICLES_HEADER,
    C1,
    C2,
    C3,
    CUSTOMERS_HEADER,
    TRANSACTIONS_HEADER,
    article,
    job,
    publish_parents,
    purchase,
    rows_of,
    write,
)

EARLIER, DAY, LATER = date(2020, 9, 9), date(2020, 9, 16), date(2020, 9, 23)
#: Runs a job that stops itself, as SIGSTOP does from outside, when its rows of a table are about to be committed.
HELD = """
import os, runpy, signal, sys
from jobs.platform.job import Job
publish, table, waiting = Job.publish, sys.argv.pop(1), [signal.SIGSTOP]
def held(self, contract, *args, **kwargs):
    if contract.name == table and waiting:
        os.kill(os.getpid(), waiting.pop())
    return publish(self, contract, *args, **kwargs)
Job.publish = held
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def customer_list(folder: Path, *ids: str) -> Path:
    return write(folder / "customers.csv", CUSTOMERS_HEADER, [f"{each},,,,,," for each in ids]).parent


def command(start: list[str], data: Path, warehouse: Path, as_of_date: date) -> list[str]:
    flags = (f"--data={data}", f"--warehouse={warehouse}", f"--as-of-date={as_of_date}")
    return [sys.executable, *start, "jobs.ingest.customers", *flags]


def test_a_process_that_was_held_does_not_put_its_older_list_in_place_of_a_newer_one(tmp_path: Path) -> None:
    older, newer = customer_list(tmp_path / "w1", C1, C2), customer_list(tmp_path / "w2", C1, C2, C3)
    warehouse = tmp_path / "warehouse"
    held = subprocess.Popen(
        command(["-c", HELD, "customers"], older, warehouse, EARLIER),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert os.WIFSTOPPED(os.waitpid(held.pid, os.WUNTRACED)[1])
        subprocess.run(command(["-m"], newer, warehouse, DAY), cwd=ROOT, check=True, capture_output=True)
    finally:
        os.kill(held.pid, signal.SIGCONT)
    said = held.communicate(timeout=SECONDS)[1]
    assert held.returncode == EXIT_JOB_ERROR, said
    (line,) = [line for line in said.splitlines() if line.startswith("ERROR")]
    assert f"{older}/customers.csv: while this run of {EARLIER} read it, one of {DAY} took another list" in line
    assert rows_of(tmp_path, CUSTOMERS, "customer_id", "has_left") == [(C1, False), (C2, False), (C3, False)]


def between(monkeypatch: pytest.MonkeyPatch, contract: Contract, other: Callable[[], object]) -> None:
    """Let `other` happen once, when a run is about to commit its rows of the table."""
    waiting = [other]

    def holding(publish: Callable[..., int]) -> Callable[..., int]:
        def held(self: Job, rows: object, *args: object, **kwargs: object) -> int:
            if waiting and getattr(rows, "contract", rows) is contract:
                waiting.pop()()
            return publish(self, rows, *args, **kwargs)

        return held

    for name in ("publish", "publish_staged"):
        monkeypatch.setattr(Job, name, holding(getattr(Job, name)))


@pytest.mark.parametrize("held_of", [EARLIER, DAY, LATER], ids=["earlier", "same", "later"])
def test_the_later_date_wins_else_the_first_to_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_of: date
) -> None:
    folders = []
    for name, ids in (("held", (A1, A2)), ("other", (A2, A3))):
        folders.append(write(tmp_path / name / "articles.csv", ARTICLES_HEADER, [article(i) for i in ids]).parent)
    warehouse = str(tmp_path / "warehouse")
    between(monkeypatch, ARTICLES, lambda: articles.main(job(articles, None, folders[1], warehouse=warehouse)))
    run = job(articles, None, folders[0], warehouse=warehouse, as_of_date=held_of)
    if held_of is LATER:
        articles.main(run)
        expected = [(A1, False), (A2, False), (A3, True)]
    else:
        with pytest.raises(JobError, match=f"one of {DAY} took another list"):
            articles.main(run)
        expected = [(A2, False), (A3, False)]
    assert rows_of(tmp_path, ARTICLES, "article_id", "is_delisted") == expected
    if held_of is DAY:
        said = articles.main(job(articles, None, folders[0], warehouse=warehouse, as_of_date=EARLIER))
        assert said.endswith(
            f"1 more are not listed any more; in place of a list that a run of {DAY} found, a later date"
        )


def test_one_list_at_two_runs_of_two_dates_is_taken_in_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    customer_list(tmp_path, C1, C2)
    between(monkeypatch, CUSTOMERS, lambda: customers.main(job(customers, None, tmp_path, as_of_date=LATER)))
    assert customers.main(job(customers, None, tmp_path)).endswith("nothing to do")


def test_purchases_of_one_file_name(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corrected file stays; files of other names come beside it, whichever run is the first."""
    publish_parents(tmp_path)
    warehouse = str(tmp_path / "warehouse")

    def run(folder: str, file: str, *lines: str) -> Callable[[], str]:
        write(tmp_path / folder / file, TRANSACTIONS_HEADER, lines)
        return lambda: transactions.main(job(transactions, spark, tmp_path / folder, warehouse=warehouse))

    first, corrected = purchase(article=A1), purchase(article=A2)
    run("data", "transactions_1.csv", first)()
    held = run("held", "transactions_1.csv", first, purchase(article=A3))
    other = run("other", "transactions_1.csv", corrected)
    with monkeypatch.context() as patch:
        between(patch, TRANSACTIONS, other)
        with pytest.raises(JobError, match=r"held/transactions_1.csv: while this run .* other content of that name"):
            held()
    assert rows_of(tmp_path, TRANSACTIONS, "article_id") == [(A2,)]
    between(monkeypatch, TRANSACTIONS, run("more", "transactions_2.csv", purchase("2020-09-02")))
    run("less", "transactions_3.csv", purchase("2020-09-03"))()
    assert len(rows_of(tmp_path, TRANSACTIONS, "source_file")) == 3
