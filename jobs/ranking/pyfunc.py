"""The registered model as an MLflow pyfunc: both stages, from customer ids to ranked articles, and no pickle.

MLflow imports this module from the model's own files, with nothing of the project at hand, and calls `_load_pyfunc` on
the folder of tensors, trees and JSON that TwoStageModel saves. What is ranked for is read from the tables of a
warehouse. Where the project's modules are imported already, MLflow uses those and not the model's.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from expectations.features import ARTICLE_FEATURES
from jobs.platform import storage
from jobs.platform.checksums import verify_checksums
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.ranking.model import FINAL, TwoStageModel
from jobs.ranking.rank import Recommender, rank_blocks
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.retrieval.purchases import load_purchases

#: The customers' column, the only input.
CUSTOMER = "customer_id"


def signature(settings: Settings) -> ModelSignature:
    """What the model takes and gives.

    The parameters' defaults are the run's: its as-of date, its warehouse, its number of recommendations.
    """
    columns = {CUSTOMER: "string", "rank": "integer", "article_id": "string", "score": "double", "source": "string"}
    return ModelSignature(
        inputs=Schema([ColSpec("string", CUSTOMER)]),
        outputs=Schema([ColSpec(kind, name) for name, kind in columns.items()]),
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
        """The best articles of each customer, by customer as asked for, then rank: those that scoring would publish.

        Args:
            customers: column customer_id.
            params: as_of_date, of which the warehouse has features: nothing dated on or after it is looked at;
                warehouse, a folder or URI; count, the articles per customer.

        Raises:
            JobError: an unknown customer, or a date that the model knows more than or the warehouse nothing of.
        """
        settings = Settings.model_validate({name: params[name] for name in ("as_of_date", "warehouse")})
        as_of_date, count = settings.as_of_date, params["count"]
        if as_of_date < self._fitted_as_of:
            raise JobError(
                f"as_of_date {as_of_date}: the model learnt from purchases up to {self._fitted_as_of}, later ones than "
                "that date may know of; give a later date, or load an earlier version"
            )
        if count < 1:
            raise JobError(f"count {count}: must be at least 1")
        job = Job("ranking.pyfunc", settings, SNAPSHOT_TABLES, ())
        if not job.read_arrow(ARTICLE_FEATURES, ["article_id"], where={"as_of_date": [as_of_date]}).num_rows:
            raise JobError(
                f"{job.warehouse.uri(ARTICLE_FEATURES)}: nothing as of {as_of_date}; run the features' tasks"
            )
        purchases = load_purchases(job, before=as_of_date)
        asked = pa.array(customers[CUSTOMER], pa.string())
        codes = pc.index_in(asked, value_set=purchases.customer_ids)
        if codes.null_count:
            unknown = asked.filter(pc.is_null(codes))[0]
            raise JobError(f"{codes.null_count:,} of {len(asked):,} customers are unknown, such as {unknown}")
        snapshot = SnapshotLoader(job, purchases, self._model.inputs.encoder).at(as_of_date)
        ranked = rank_blocks(Recommender(self._model, snapshot), codes.to_numpy().astype(np.int32), count)
        return pa.concat_tables(best.table(purchases, block) for block, best in ranked).to_pandas()


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> WeeklyRecommender:
    """What MLflow calls with the folder of fits; raises JobError where any of the model's files is damaged."""
    fits = Path(path)
    verify_checksums(fits.parents[1])
    return WeeklyRecommender(TwoStageModel.load(fits / FINAL), date.fromisoformat(model_config["fitted_as_of"]))
