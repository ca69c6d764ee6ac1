"""Errors a person can act on."""


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
