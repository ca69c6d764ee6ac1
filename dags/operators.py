"""How Airflow starts a job, and what its exit code means: 0 done, 2 a rerun cannot help, anything else try again.

A task's inlets and outlets are the tables that its job declares. Each outlet's event carries in `extra`: as_of_date,
run_id, the run's `params` and, where this run published the table, delta_version, rows, data_docs (the page of what was
checked) and data_docs_link (the same as this Airflow shows it); `published` says whether it did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags.common import lineage

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

REPOSITORY = Path(__file__).resolve().parents[1]

#: Where the server shows Data Docs.
LINK = "/data-docs"

#: Exit code of a job whose failure a rerun cannot mend (jobs.platform.job.EXIT_JOB_ERROR).
EXIT_JOB_ERROR = 2


def fail(exit_code: int, last_words: str) -> NoReturn:
    """Raises AirflowFailException (no retry) for a job's own error, AirflowException (retried) for any other."""
    if exit_code == EXIT_JOB_ERROR:
        raise AirflowFailException(last_words) from None  # the job's own line, and no command line below it
    raise AirflowException(f"exit code {exit_code}: {last_words}") from None


def linked(facts: dict[str, Any]) -> dict[str, Any]:
    """What was published of a table, with the address of its page as scripts/plugins/data_docs.py serves it."""
    _, folder, page = facts.get("data_docs", "").rpartition("/data_docs/")
    server = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return facts | {"data_docs_link": f"{server}{LINK}/{page}"} if folder else facts


def refuse_unknown_fields(context: Context) -> None:
    """Raises AirflowFailException where the run was given what its DAG's form does not have: a slip of the pen."""
    run = context.get("dag_run")
    if unknown := sorted(set((run and run.conf) or {}) - set(context["dag"].params if run else ())):
        fields = ", ".join(sorted(context["dag"].params))
        raise AirflowFailException(f"no such field: {', '.join(unknown)}; this DAG has {fields}")


@contextmanager
def emit_asset_params(outlets: Sequence[Asset], context: Context) -> Iterator[str]:
    """Around a job: gives the flag by which it says what it published, and puts that into the outlets' events."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "published.json"
        yield f"--published-file={file}"
        if not outlets:
            return
        published = json.loads(file.read_text())
        tables = published.pop("tables")
        for asset in outlets:
            facts = {"published": asset.name in tables} | linked(tables.get(asset.name, {}))
            context["outlet_events"][asset].extra = published | facts | {"params": dict(context["params"])}


class SparkJobOperator(SparkSubmitOperator):
    """Runs the Spark job its task id names ("ingest.articles") by spark-submit on the connection `spark_default`."""

    def __init__(self, *, task_id: str, arguments: Sequence[str], **kwargs: Any) -> None:
        application = str(REPOSITORY.joinpath("jobs", *task_id.split(".")).with_suffix(".py"))
        super().__init__(
            task_id=task_id,
            application=application,
            application_args=list(arguments),
            name=task_id,
            **lineage(task_id) | kwargs,
        )

    def execute(self, context: Context) -> None:
        """Submit, stream the job's log, and tell its exit codes apart."""
        refuse_unknown_fields(context)
        with emit_asset_params(self.outlets, context) as flag:
            self.application_args = [*(self.application_args or ()), flag]
            self._hook = self._get_hook()
            try:
                super().execute(context)
            except AirflowException:
                process = self._hook._submit_sp
                if process is None or not process.returncode:
                    raise  # never started, or stopped by something else than the job's own exit
                lines = [line for line in self._hook._last_submit_log_lines if line]
                fail(process.returncode, lines[-1] if lines else "no output")


class JobOperator(BaseOperator):
    """Runs the job its task id names ("ranking.train") as a module in the `jobs` environment.

    Where a DAG runs one job several times, the task is mapped, each with `more` arguments of its own.
    """

    template_fields = ("arguments",)

    def __init__(
        self,
        *,
        task_id: str,
        arguments: Sequence[str],
        more: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(task_id=task_id, **lineage(task_id) | kwargs)
        self.job, self.arguments, self.more = task_id, list(arguments), list(more)
        self._process: SubprocessHook | None = None

    def execute(self, context: Context) -> None:
        """Run, stream the job's log, and tell its exit codes apart."""
        python = str(REPOSITORY / ".venv" / "jobs" / "bin" / "python")
        self._process = SubprocessHook()
        refuse_unknown_fields(context)
        with emit_asset_params(self.outlets, context) as flag:
            command = [python, "-m", f"jobs.{self.job}", *self.arguments, *self.more, flag]
            result = self._process.run_command(command, cwd=str(REPOSITORY))
            if result.exit_code:
                fail(result.exit_code, result.output)

    def on_kill(self) -> None:
        """End the job's process group with the task."""
        if self._process is not None:
            self._process.send_sigterm()
