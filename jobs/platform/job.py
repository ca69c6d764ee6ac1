"""What every job runs in: parameters from the command line, tables read and published, one clear line when it fails."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pyarrow as pa
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from expectations.contract import Contract
from jobs.platform.data_files import DataFile
from jobs.platform.errors import JobError
from jobs.platform.lookup import Lookup
from jobs.platform.settings import Settings
from jobs.platform.staging import Slice, Staged
from jobs.platform.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import DataFrame, SparkSession

#: Exit codes: of a fault that a retry may mend, and of a failure that it cannot.
EXIT_FAULT, EXIT_JOB_ERROR = 1, 2

#: What the operating system says, through every library, when nothing more can be written.
_DISK_FULL = ("No space left on device", "Disk quota exceeded", "File too large")

_ROOT = Path(__file__).resolve().parents[2]


class Job:
    """One run of one job: its settings, and its tables restricted to those it declared."""

    def __init__(self, name: str, settings: Settings, reads: Sequence[Contract], writes: Sequence[Contract]) -> None:
        self.name = name
        self.settings = settings
        self._reads, self._writes = tuple(reads), tuple(writes)
        stamp = {"job": name, "run_id": settings.run_id, "as_of_date": settings.as_of_date.isoformat()}
        self.warehouse = Warehouse(settings.warehouse, stamp, accept_drift=settings.accept_drift)

    @cached_property
    def _context(self) -> Future[SparkContext]:
        from jobs.platform.spark import spark_context

        return ThreadPoolExecutor(1).submit(spark_context, self.name)

    def start_spark(self) -> None:
        """Start Spark and its Python workers, which takes seconds, beside what the job does until it needs them."""
        from jobs.platform.spark import in_parallel

        ThreadPoolExecutor(1).submit(lambda: in_parallel(self.context, abs, [0]))

    @property
    def context(self) -> SparkContext:
        """The Spark application, for tasks in Python."""
        return self._context.result()

    @property
    def spark(self) -> SparkSession:
        """Its SQL session."""
        from jobs.platform.spark import spark_session

        return spark_session(self.name)

    def exists(self, contract: Contract) -> bool:
        """True when a declared table has been created."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.exists(contract)

    def read_spark(self, contract: Contract) -> DataFrame:
        """A declared table, an input or what earlier runs wrote, as a Spark DataFrame."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.read_spark(self.spark, contract)

    def read_arrow(self, contract: Contract, *args: object, **kwargs: object) -> pa.Table:
        """A declared table as Arrow; see Warehouse.read_arrow for columns and filters."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.read_arrow(contract, *args, **kwargs)  # type: ignore[arg-type]

    def data_files(self, contract: Contract, where: Slice | None = None) -> list[DataFile]:
        """The files of a declared table, of these partitions (column -> values) if given; none before it exists."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.data_files(contract, where)

    def lookup(self, contract: Contract) -> Lookup:
        """Ids and surrogate keys of a declared table of customers or articles."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.lookup(contract)

    def version(self, contract: Contract) -> int:
        """The version of a declared table that this run reads."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.version(contract)

    def partitions(self, contract: Contract) -> list[dict[str, str]]:
        """The partitions of a declared table, column -> value; none before its first publish."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.partitions(contract)

    def facts(self, contract: Contract, **having: str) -> dict[str, str]:
        """What was recorded with the newest publish of a declared table that has these facts; nothing before it."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.facts(contract, **having)

    def publish(
        self,
        contract: Contract,
        rows: DataFrame | pa.Table | Iterable[pa.Table],
        replace: Slice,
        *,
        facts: Mapping[str, str] | None = None,
    ) -> int:
        """Check and commit a declared output in place of the slice; returns the number of rows.

        Args:
            contract: the table.
            rows: a Spark DataFrame, or Arrow tables.
            replace: the slice.
            facts: recorded with the commit, beside run id and as-of date; `facts()` gives them back.
        """
        self._declared(contract, self._writes)
        from pyspark.sql import DataFrame

        with self._naming(contract):
            if isinstance(rows, DataFrame):
                return self.warehouse.publish_spark(contract, rows, replace, facts)
            return self.warehouse.publish_arrow(contract, rows, replace, facts)

    @contextmanager
    def staging(self, contract: Contract) -> Iterator[Staged]:
        """A folder for rows of a declared output, to be given to `publish_staged`, or to nobody."""
        self._declared(contract, self._writes)
        with self._naming(contract), self.warehouse.staging(contract) as files:
            yield files

    def publish_staged(
        self, files: Staged, paths: Sequence[str], replace: Slice, *, facts: Mapping[str, str] | None = None
    ) -> int:
        """Check the staged files at these paths and commit them in place of the slice; returns their number of rows."""
        return self.warehouse.publish_staged(self.context, files, paths, replace, facts)

    @contextmanager
    def _naming(self, contract: Contract) -> Iterator[None]:
        """Add to a fault which table was being written: neither Spark nor Arrow says so of a full disk."""
        try:
            yield
        except Exception as error:
            error.add_note(f"while writing {self.warehouse.uri(contract)}")
            raise

    def _declared(self, contract: Contract, declared: Sequence[Contract]) -> None:
        if contract not in declared:
            raise AssertionError(f"{self.name} touches {contract.name} without declaring it in READS or WRITES")


def job_name(file: str) -> str:
    """The job's name from its file: `jobs/features/customers.py` is `features.customers`, task id and module alike."""
    return ".".join(Path(file).resolve().relative_to(_ROOT / "jobs").with_suffix("").parts)


def run(
    main: Callable[[Job], str],
    *,
    reads: Sequence[Contract],
    writes: Sequence[Contract],
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Run a job from the command line and leave with its exit code.

    `main` returns the one-line summary of what it did. A JobError or a bad parameter ends with its one line and code 2;
    anything else is a fault worth a retry and ends with one line, the Python frames that led there, and code 1.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    for noisy in ("py4j", "great_expectations", "alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("SQLQueryContextLogger").disabled = True  # Spark's faults as a page of JSON
    file = sys.modules["__main__"].__file__
    assert file is not None, "run() is called from a job's file"
    name = job_name(file)
    started = time.monotonic()
    try:
        settings = CliApp.run(Settings, cli_args=list(sys.argv[1:] if argv is None else argv))
        job = Job(name, settings, reads, writes)
        summary = main(job)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors())
        _fail(name, "; ".join(problems), EXIT_JOB_ERROR)
    except (JobError, SettingsError) as error:
        _fail(name, str(error), EXIT_JOB_ERROR)
    except Exception as error:
        frames = "".join(traceback.format_tb(error.__traceback__))
        _fail(name, f"{_headline(error)}\n{frames}", EXIT_FAULT)
    print(f"{name}: {summary} ({time.monotonic() - started:.0f} s)", flush=True)
    sys.exit(0)


def _headline(error: Exception) -> str:
    """The fault in one line: Spark's exceptions bring a page of Java frames, of which the deepest cause is kept."""
    where = getattr(error, "__notes__", [])[:1]
    if full := [words for words in _DISK_FULL if words.lower() in str(error).lower()]:
        advice = "the tables are as they were; free some space there and run again"
        return " ".join([*full[:1], *where]) + f"; {advice}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    said = " ".join([lines[0], *(line for line in lines[1:2] if line.startswith(": "))])
    causes = [line for line in lines if line.startswith("Caused by: ") and line.removeprefix("Caused by: ") not in said]
    return " ".join([f"{type(error).__name__}: {said}", *causes[-1:], *where])


def _fail(name: str, message: str, code: int) -> NoReturn:
    print(f"ERROR {name}: {message}", file=sys.stderr, flush=True)
    sys.exit(code)
