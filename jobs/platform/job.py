"""What every job runs in: parameters from the command line, tables read and published, one clear line when it fails."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pyarrow as pa
from deltalake import DeltaTable
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from expectations.contract import Contract
from jobs.platform import machine, storage
from jobs.platform.data_files import DataFile
from jobs.platform.errors import JobError, TableChangedError, headline, permanent
from jobs.platform.settings import WEDNESDAY, Settings, problems
from jobs.platform.staging import Slice, Staged
from jobs.platform.warehouse import ARROW_ROWS, Warehouse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Exit codes: of a fault that a retry may mend, and of a failure that it cannot.
EXIT_FAULT, EXIT_JOB_ERROR = 1, 2

#: So often what follows from a table is derived again because another run changed the table.
TRANSACTION_ATTEMPTS = 5

T = TypeVar("T")

_ROOT = Path(__file__).resolve().parents[2]


class Job:
    """One run of one job: its settings, and its tables restricted to those it declared."""

    def __init__(self, name: str, settings: Settings, reads: Sequence[Contract], writes: Sequence[Contract]) -> None:
        self.name = name
        self.settings = settings
        self._reads, self._writes = tuple(reads), tuple(writes)
        self._owns_spark = False
        #: Path of a table -> what was published of it so far: delta_version, rows, data_docs.
        self.published: dict[str, dict[str, Any]] = {}
        self._stamp = {"job": name, "run_id": settings.run_id, "as_of_date": settings.as_of_date.isoformat()}
        self._stamp["started"] = datetime.now(UTC).isoformat(timespec="seconds")
        accept_drift = getattr(settings, "accept_drift", False)  # which a job that publishes nothing need not take
        self.warehouse = Warehouse(
            settings.warehouse, self._stamp, accept_drift=accept_drift, session=lambda: self.spark
        )

    @property
    def spark(self) -> SparkSession:
        """The Spark session, started when it is first asked for."""
        from pyspark.sql import SparkSession

        from jobs.platform.spark import spark_session

        if SparkSession.getActiveSession() is not None:
            return spark_session(self.name)
        self._owns_spark = True
        # Every publish needs Great Expectations, whose import takes seconds: so long does Java take to start.
        gates = Thread(target=importlib.import_module, args=("jobs.platform.gates",))
        gates.start()
        try:
            return spark_session(self.name)
        finally:
            gates.join()  # before imports of ours: modules that import each other are not safe in two threads at once

    def close(self) -> None:
        """Stop Spark, if this job started it: its Python workers then end before their Java does."""
        if self._owns_spark:
            self.spark.stop()

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

    def read_batches(self, contract: Contract, *args: object, **kwargs: object) -> Iterator[pa.RecordBatch]:
        """A declared table as a stream of Arrow batches; see Warehouse.read_batches for columns and filters."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.read_batches(contract, *args, **kwargs)  # type: ignore[arg-type]

    def data_files(self, contract: Contract, where: Slice | None = None) -> list[DataFile]:
        """The files of a declared table, of these partitions (column -> values) if given; none before it exists."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.data_files(contract, where)

    def table(self, contract: Contract) -> DeltaTable:
        """A declared table at the version that this run reads."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.newest(contract, self.warehouse.version(contract))

    def version(self, contract: Contract) -> int:
        """The version of a declared table that this run reads."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.version(contract)

    def partitions(self, contract: Contract) -> list[dict[str, str]]:
        """The partitions of a declared table, column -> value; none before its first publish."""
        self._declared(contract, self._reads + self._writes)
        return self.warehouse.partitions(contract)

    def publish(
        self,
        contract: Contract,
        rows: DataFrame | pa.Table | Iterable[pa.Table],
        replace: Slice,
        derived_from: Sequence[Contract] = (),
    ) -> int:
        """Check and commit a declared output in place of the slice; returns the number of rows.

        Args:
            contract: the table.
            rows: a Spark DataFrame, an Arrow table, or a stream of Arrow tables, larger than memory maybe.
            replace: the slice.
            derived_from: tables, itself maybe, from whose rows as this run read them the new rows follow, so that they
                are wrong beside other ones. See `transact`.

        Raises:
            ContractError: a rule or a gate of the table is broken. Nothing is committed.
            TableChangedError: another run has changed one of those tables since. Nothing is committed.
        """
        self._declared(contract, self._writes)
        from pyspark.sql import DataFrame

        with self._naming(contract):
            if isinstance(rows, DataFrame):
                count = self.warehouse.publish_spark(contract, rows, replace, derived_from)
            elif isinstance(rows, pa.Table) and rows.num_rows <= ARROW_ROWS:
                count = self.warehouse.publish_arrow(contract, rows, replace, derived_from)
            else:
                blocks = [rows] if isinstance(rows, pa.Table) else rows
                count = self.warehouse.publish_blocks(contract, blocks, replace, derived_from)
        return self._note(contract, count)

    def transact(self, attempt: Callable[[], T], tables: Sequence[Contract] | None = None) -> T:
        """The result of `attempt`, repeated from the newest versions of these tables while other runs change them.

        Args:
            attempt: does everything again where another run changed a table of its publish's `derived_from`.
            tables: those that it reads, from their newest versions each time; None: all tables of the job.
        """
        again = self._reads + self._writes if tables is None else tables
        for number in range(1, TRANSACTION_ATTEMPTS + 1):
            self.warehouse.forget(again)
            try:
                return attempt()
            except TableChangedError as error:
                if number == TRANSACTION_ATTEMPTS:
                    raise
                logging.warning("%s; all that follows from them is derived again", error)
                time.sleep(0.1 * number)
        raise AssertionError("unreachable")

    @contextmanager
    def staging(self, contract: Contract) -> Iterator[Staged]:
        """A folder for rows of a declared output, to be given to `publish_staged`, or to nobody."""
        self._declared(contract, self._writes)
        with self._naming(contract), self.warehouse.staging(contract) as files:
            yield files

    def publish_staged(
        self, files: Staged, paths: Sequence[str], replace: Slice, derived_from: Sequence[Contract] = ()
    ) -> int:
        """Check the staged files at these paths and commit them in place of the slice; returns their number of rows.

        See `publish`.
        """
        count = self.warehouse.publish_staged(files, paths, replace, derived_from)
        return self._note(files.contract, count)

    def write_published(self, path: Path) -> None:
        """Say in a JSON file what this run published, for whoever started it: as_of_date, run_id, tables."""
        stamp = {name: self._stamp[name] for name in ("as_of_date", "run_id")}
        path.write_text(json.dumps(stamp | {"tables": self.published}, indent=1))

    def _note(self, contract: Contract, rows: int) -> int:
        """Remember a publish; a table that a run publishes in several parts counts the rows of all."""
        from jobs.platform.data_docs import page_of

        rows_before = self.published.get(contract.path, {"rows": 0})["rows"]
        self.published[contract.path] = {
            "delta_version": self.warehouse.versions_written[contract.name],
            "rows": rows_before + rows,
            "data_docs": page_of(self.warehouse.root, self._stamp, contract),
        }
        return rows

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


def require_week_end(day: date) -> None:
    """Raises JobError unless a week ends there: snapshots, labels and lists of other days fit no others."""
    if day.weekday() != WEDNESDAY:
        raise JobError(f"as-of-date {day} is a {day:%A}: weeks run Wednesday to Wednesday, give a Wednesday")


def job_name(file: str) -> str:
    """The job's name from its file: `jobs/features/customers.py` is `features.customers`, task id and module alike."""
    return ".".join(Path(file).resolve().relative_to(_ROOT / "jobs").with_suffix("").parts)


def run(
    main: Callable[[Job], str],
    *,
    reads: Sequence[Contract],
    writes: Sequence[Contract],
    settings: Sequence[str],
    argv: Sequence[str] | None = None,
    any_day: bool = False,
) -> NoReturn:
    """Run a job from the command line and leave with its exit code.

    The command line takes the job's own settings and COMMON's; any other flag is a bad parameter. The as-of date is a
    Wednesday, unless the job is for `any_day` or of maintenance.
    `main` returns the one-line summary of what it did. A JobError or a bad parameter ends with its one line and code 2;
    anything else is a fault worth a retry and ends with one line, the Python frames that led there, and code 1.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    for noisy in ("py4j", "great_expectations", "alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("SQLQueryContextLogger").disabled = True  # Spark's faults as a page of JSON
    script = sys.modules["__main__"]
    file = script.__file__
    assert file is not None, "run() is called from a job's file"
    name = job_name(file)
    argv = sys.argv[1:] if argv is None else argv
    machine.prepare()
    started = time.monotonic()
    try:
        given = CliApp.run(Settings.of(name, settings, script.__doc__), cli_args=list(argv))
        if not any_day and not name.startswith("maintenance."):
            require_week_end(given.as_of_date)
        job = Job(name, given, reads, writes)
        storage.require_reachable(given.warehouse)
        if "data" in settings:
            storage.require_reachable(given.data, by_spark=False)
        with closing(job):
            summary = main(job)
        if given.published_file:
            job.write_published(given.published_file)
    except ValidationError as error:
        _fail(name, problems(error), EXIT_JOB_ERROR)
    except SettingsError as error:
        words = str(error).removeprefix("error parsing CLI: ")
        _fail(name, f"{words}; `python -m jobs.{name} --help` lists what this job takes", EXIT_JOB_ERROR)
    except JobError as error:
        _fail(name, str(error), EXIT_JOB_ERROR)
    except Exception as error:
        if line := permanent(error):
            _fail(name, line, EXIT_JOB_ERROR)
        frames = "".join(traceback.format_tb(error.__traceback__))
        _fail(name, f"{headline(error)}\n{frames}", EXIT_FAULT)
    print(f"{name}: {summary} ({time.monotonic() - started:.0f} s)", flush=True)
    sys.exit(0)


def _fail(name: str, message: str, code: int) -> NoReturn:
    print(f"ERROR {name}: {message}", file=sys.stderr, flush=True)
    sys.exit(code)
