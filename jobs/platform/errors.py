"""Errors a person can act on, and what is said of others."""

import os
import re

#: What the operating system says, through every library, when nothing more can be written.
_DISK_FULL = ("No space left on device", "database or disk is full", "Disk quota exceeded", "File too large")
#: And where a file or folder may not be read or written.
_FORBIDDEN = ("Permission denied", "Read-only file system")
#: A worker's error in what Spark says of it: an exception's line below its frames.
_WORKERS = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception))(?:: (.*))?$", re.MULTILINE)


class JobError(Exception):
    """Bad input or a refused result: one clear line that says what is wrong, where, and what to do.

    Running the same job again cannot help, so a job that raises it exits with code 2 and is not retried.
    """


class TableChangedError(Exception):
    """Another run changed a table between the moment this run read it and the commit of what follows from its rows.

    Nothing was committed. What was derived has to be derived again: Job.transact does so.
    """


class ContractError(JobError):
    """Data that breaks its table's contract; nothing was published."""


def permanent(error: Exception) -> str:
    """One line of an error that no rerun mends though it is no JobError; "" where one may.

    It is a worker's JobError, or of a file or folder that may not be read or written.
    """
    if found := _WORKERS.findall(str(error)):
        kind, said = found[-1]
        if kind in {f"{e.__module__}.{e.__name__}" for e in (JobError, ContractError)}:
            return str(said)
    if any(words in str(error) for words in _FORBIDDEN):
        return f"{headline(error)}; let user {os.getuid()} do so there, or name another place"
    return ""


def headline(error: Exception) -> str:
    """An error in one line.

    Spark's bring a page of Java frames, of which the deepest cause is kept, or of a worker's Python frames.
    """
    where = getattr(error, "__notes__", [])[:1]
    if full := [words for words in _DISK_FULL if words.lower() in str(error).lower()]:
        advice = "the tables are as they were; free some space there and run again"
        return " ".join([*full[:1], *where]) + f"; {advice}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    said = " ".join([lines[0], *(line for line in lines[1:2] if line.startswith(": "))])
    if "Traceback (most recent call last):" in lines:
        workers = [": ".join(filter(None, found)) for found in _WORKERS.findall(str(error))]
        said = " ".join([said, *workers[-1:]])
    causes = [line for line in lines if line.startswith("Caused by: ") and line.removeprefix("Caused by: ") not in said]
    return " ".join([f"{type(error).__name__}: {said}", *causes[-1:], *where])
