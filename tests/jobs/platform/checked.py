"""A contract's rules asked of rows, by the engine that the rows belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from expectations.contract import Contract
from jobs.platform.checks import check_rows, failure
from jobs.platform.errors import ContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def check(contract: Contract, rows: pa.Table | DataFrame) -> None:
    """Raise ContractError, naming every broken rule, unless the rows keep their contract."""
    results = check_rows(contract, rows)
    if failures := [failure(result) for result in results if not result.success]:
        raise ContractError("; ".join(failures))
