"""The registered model as an MLflow pyfunc: both stages, from customer ids to ranked articles, and no pickle.

MLflow imports this module from the model's own files, without the project on the path, and calls `_load_pyfunc` on
the folder of tensors, trees and JSON that TwoStageModel saves. Histories and features are read from the tables
of a warehouse. Where the project's modules are imported already, MLflow uses those and not the model's.
"""

from __future__ import annotations

from datetime import date
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from pydantic import ValidationError

from jobs.platform import storage
from jobs.platform.checksums import verify_checksums
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings, problems
from jobs.ranking.model import FINAL, TwoStageModel
from jobs.ranking.rank import RANKED, Recommender, rank_blocks
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader, require_features
from jobs.retrieval.purchases import load_purchases

#: The customers' column, the only input.
CUSTOMER = "customer_id"
_MLFLOW_TYPES = {pa.string(): "string", pa.int32(): "integer", pa.float64(): "double"}


def signature(settings: Settings) -> ModelSignature:
    """What the model takes and gives.

    The parameters' defaults are the run's: its as-of date, its warehouse, its number of recommendations.
    """
    return ModelSignature(
        inputs=Schema([ColSpec("string", CUSTOMER)]),
        outputs=Schema([ColSpec(_MLFLOW_TYPES[column.type], column.name) for column in RANKED]),
        params=ParamSchema(
            [
                ParamSpec("as_of_date", "string", settings.as_of_date.isoformat()),
                ParamSpec("warehouse", "string", storage.normalized(settings.warehouse)),
                ParamSpec("count", "long", settings.top_k),
            ]
        ),
    )


class WeeklyRecommender:
    """Ranks for any customers of a warehouse, as of any date that the model was not fitted on.

    Args:
        fitted_as_of: the model learnt from purchases before this day.
    """

    def __init__(self, model: TwoStageModel, fitted_as_of: date) -> None:
        self._model, self._fitted_as_of = model, fitted_as_of

    def predict(self, customers: pd.DataFrame, params: dict[str, Any]) -> pd.DataFrame:
        """The best articles of each customer, in the order of the customers, then rank: those that scoring publishes.

        Args:
            customers: column customer_id; none give an empty frame, and who has left by the date gets no row. MLflow
                makes it of a named Series, and of {"customer_id": [...]}, whose list then is one cell.
            params: as_of_date, of which the warehouse has features: nothing dated on or after it is looked at;
                warehouse, a folder or URI; count, the articles per customer.

        Raises:
            JobError: a customer id that is unknown, missing or not a string; a date before
                that of the fit, or of which the warehouse has no features; a count below 1.
        """
        settings, count = _settings(params), params["count"]
        if settings.as_of_date < self._fitted_as_of:
            raise JobError(
                f"as_of_date {settings.as_of_date}: the model learnt from purchases up to {self._fitted_as_of}, later "
                "ones than that date may know of; give a later date, or load an earlier version"
            )
        if not isinstance(count, Integral) or count < 1:
            raise JobError(f"count {count}: must be at least 1")
        asked = customers[CUSTOMER]
        is_one_cell = len(asked) == 1 and isinstance(asked.iloc[0], list)
        ids = _ids(pd.Series(asked.iloc[0], dtype=object) if is_one_cell else asked)
        if not len(ids):
            return RANKED.empty_table().to_pandas()
        storage.require_reachable(settings.warehouse, by_spark=False)
        job = Job("ranking.pyfunc", settings, SNAPSHOT_TABLES, ())
        require_features(job, [settings.as_of_date], f"run the features' tasks with --warehouse {settings.warehouse}")
        purchases = load_purchases(job, before=settings.as_of_date)
        codes = pc.index_in(ids, value_set=purchases.customer_ids)
        if codes.null_count:
            unknown = ids.filter(pc.is_null(codes))[0].as_py()
            raise JobError(f"{codes.null_count:,} of {len(ids):,} customers are unknown, such as {unknown[:50]!r}")
        there = codes.to_numpy().astype(np.int32)
        there = there[np.isin(there, purchases.customers())]
        if not len(there):
            return RANKED.empty_table().to_pandas()
        snapshot = SnapshotLoader(job, purchases, self._model.inputs.encoder).at(settings.as_of_date)
        ranked = rank_blocks(Recommender(self._model, snapshot), there, int(count))
        return pa.concat_tables(best.table(purchases, block) for block, best in ranked).to_pandas()


def _settings(params: dict[str, Any]) -> Settings:
    """Those of the parameters; JobError where one has a value that it cannot have."""
    try:
        return Settings.model_validate({name: params[name] for name in ("as_of_date", "warehouse")})
    except ValidationError as error:
        raise JobError(problems(error)) from None


def _ids(customers: pd.Series) -> pa.StringArray:
    """The customers' ids; JobError where one is missing or is not a string."""
    if missing := int(customers.isna().sum()):
        raise JobError(f"{missing:,} of {len(customers):,} customer ids are missing")
    if others := [value for value in customers if not isinstance(value, str)]:
        shown = " ".join(str(others[0]).split())[:50]
        raise JobError(
            f"{len(others):,} of {len(customers):,} customer ids are not strings, such as {shown} "
            f"({type(others[0]).__name__})"
        )
    try:
        return pa.array(customers.tolist(), pa.string())
    except UnicodeEncodeError as error:
        raise JobError(f"a customer id is no text: {error}") from None


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> WeeklyRecommender:
    """What MLflow calls with the folder of fits; raises JobError where any of the model's files is damaged."""
    fits = Path(path)
    verify_checksums(fits.parents[1])
    return WeeklyRecommender(TwoStageModel.load(fits / FINAL), date.fromisoformat(model_config["fitted_as_of"]))
