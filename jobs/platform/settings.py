"""Every parameter of every job, in one place: name, type, limits, default and help text.

A value comes from the command line (`--top-k 20`), else from the environment (`ATELIER_TOP_K=20`), else from the
default here. The DAG's form offers the same names; a test holds the two together.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

WEEK = timedelta(days=7)
#: Whole weeks before the as-of date that a model is judged on, unknown to its evaluated fit: one decides nothing.
EVALUATION_FOLDS = 4

#: Systems (jobs.recommenders.registry) that can be candidate sources of the two-stage model: those whose fit can be
#: saved with it. The matrix factorisations of `implicit` but als are fitted anew for each date, Spark's makes what als
#: does, and side features are of the catalogue that a fit found.
SystemSource = Literal["als", "item_knn", "user_knn", "rnn", "lstm", "gru", "self_attentive"]


class Settings(BaseSettings):
    """Parameters of a run. `--help` of any job prints them."""

    model_config = SettingsConfigDict(
        env_prefix="ATELIER_",
        cli_kebab_case=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        extra="forbid",
    )

    as_of_date: date = Field(description="Nothing dated on or after this day touches the run (YYYY-MM-DD)")
    run_id: str = Field("manual", description="Stamp of this run: Airflow's run id, or any name")
    data: str = Field(
        "data/sample", description="The retailer's files, and images/ if any: a folder or an object-store URI"
    )
    warehouse: str = Field("warehouse", description="Root of all Delta tables: a folder or an object-store URI")
    mapping: str = Field(
        "hm", description="Which file and column plays which part: hm, completejourney, or a TOML file"
    )
    max_quarantine_share: float = Field(
        0.05, ge=0, le=1, description="Stop when more than this share of a file's rows is bad"
    )
    accept_drift: bool = Field(
        False,
        description="Publish although row counts or distributions moved further than a gate allows; recorded as such",
    )
    encoder: Literal[
        "resnet152", "resnet50", "mobilenet_v2", "fashion_clip", "catalogue", "autoencoder", "eigenfaces"
    ] = Field(
        "resnet152",
        description="Image encoder: resnet152, resnet50 or mobilenet_v2 (ImageNet weights through torchvision),"
        " fashion_clip, catalogue (trained here on the catalogue's labels), autoencoder"
        " (trained here on its images alone) or eigenfaces (PCA of grey pixels)",
    )
    weights_dir: Path | None = Field(
        None, description="Local folder with the encoders' weight files, instead of the hub"
    )
    embedding_dim: int = Field(
        256, ge=2, le=2048, description="Dimensions kept by PCA; fewer where the data allows fewer"
    )
    max_bad_image_share: float = Field(
        0.2, ge=0, le=1, description="Stop when more than this share of images is unreadable"
    )
    colour_tolerance: float = Field(
        12, gt=0, le=100, description="Colours of a picture nearer than this are one (CIELAB; black to white is 100)"
    )
    colour_limit: int = Field(8, ge=1, le=100, description="Dominant colours kept of a picture")
    keyword_method: Literal["tfidf", "yake"] = Field(
        "tfidf", description="How keywords of descriptions are found; yake is an optional package of licence GPL-3.0"
    )
    language: str = Field("en", description="Language of the descriptions, as ISO 639-1 code such as en or de")
    sweep_images: int = Field(
        3_000, ge=2, le=40_000, description="Images the autoencoder's sweep trains on and holds out"
    )
    sweep_learning_rates: tuple[PositiveFloat, ...] = Field(
        (0.01, 0.001), min_length=1, description="Learning rates of the autoencoder's sweep, with commas between"
    )
    sweep_epochs: tuple[PositiveInt, ...] = Field(
        (30, 50, 100), min_length=1, description="Epochs of the autoencoder's sweep, with commas between"
    )
    method: Literal[
        "cosine_resnet152",
        "cosine_resnet50",
        "cosine_mobilenet_v2",
        "cosine_fashion_clip",
        "cosine_catalogue",
        "euclidean_autoencoder",
        "eigenfaces",
    ] = Field("cosine_catalogue", description="How similar articles are found: metric and image encoder")
    system: Literal[
        "als",
        "als_spark",
        "bpr",
        "logistic_mf",
        "item_knn",
        "user_knn",
        "rnn",
        "lstm",
        "gru",
        "rnn_features",
        "lstm_features",
        "gru_features",
        "self_attentive",
        "self_attentive_features",
    ] = Field("als", description="Which sequence or collaborative system is fitted and judged")
    system_epochs: int = Field(10, ge=1, le=200, description="Passes of such a network over the purchases")
    extra_sources: Annotated[tuple[SystemSource, ...], NoDecode] = Field(
        (),
        description="Systems that are candidate sources of the two-stage model beside its own, with commas between",
    )
    training_weeks: int = Field(
        10,
        ge=2,
        le=52,
        description="Label weeks a model is fitted on: the ranker on the newer half, retrieval on the older",
    )
    max_epochs: int = Field(20, ge=1, le=200, description="Epochs at most; the best on the validation week is kept")
    backtest_weeks: int = Field(
        0, ge=0, le=52, description="Past weeks of a walk-forward backtest, each with a model of its own"
    )
    backtest_week: int = Field(
        1, ge=1, le=52, description="Which of them a task fits and judges, counted back from the as-of date"
    )
    write_docs: bool = Field(False, description="Also write a report's results into docs/systems.md")
    seed: int = Field(20200916, ge=0, description="Seed of every random choice")
    top_k: int = Field(12, ge=1, le=30, description="Recommendations per customer")
    exclude_bought: bool = Field(False, description="Leave out articles that the customer already bought")
    retention_days: int = Field(
        30, ge=7, le=3650, description="Days that replaced versions of a table, and files of killed runs, are kept"
    )
    dry_run: bool = Field(
        True, description="maintenance.repair_keys: only say what is wrong; false: mend it, in one commit"
    )
    mlflow_tracking_uri: str | None = Field(None, description="MLflow store; default: SQLite under the warehouse")
    model_name: str = Field("weekly_recommender", description="Name in the MLflow model registry")

    @field_validator("data", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @field_validator("weights_dir", "mlflow_tracking_uri", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        """An empty text field of the DAG's form means "not given"."""
        return None if value == "" else value

    @field_validator("extra_sources", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """Names with commas between, as on the command line; each once, in the order of the choices."""
        names = [name.strip() for name in value.split(",") if name] if isinstance(value, str) else value
        offered = get_args(SystemSource)
        if isinstance(names, list | tuple) and set(names) <= set(offered):
            return tuple(name for name in offered if name in names)
        return names

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps its records.

        Raises ValueError when the warehouse is a URI and no tracking URI was given: SQLite needs a folder.
        """
        if self.mlflow_tracking_uri:
            return self.mlflow_tracking_uri
        if "://" in self.warehouse:
            raise ValueError("mlflow-tracking-uri must be given when the warehouse is a URI")
        return f"sqlite:///{Path(self.warehouse).resolve()}/mlflow/mlflow.db"

    @property
    def work_dir(self) -> Path:
        """Local folder for what a killed job can resume from; beside the tables where those are local."""
        return Path("work") if "://" in self.warehouse else Path(self.warehouse).resolve() / "work"

    @property
    def snapshot_dates(self) -> list[date]:
        """As-of dates whose features a run needs, by j: week j starts at `as_of_date - 7 j`.

        j = 0 is the run itself; 1 to EVALUATION_FOLDS the folds its model is judged on; then the validation week; then
        the weeks that the judged model is fitted on.
        """
        return [self.as_of_date - j * WEEK for j in range(EVALUATION_FOLDS + self.training_weeks + 2)]

    @property
    def feature_dates(self) -> list[date]:
        """As-of dates whose features are computed: the run's, and as many weeks more as a backtest walks back."""
        return [self.as_of_date - j * WEEK for j in range(len(self.snapshot_dates) + self.backtest_weeks)]

    @property
    def interaction_weeks(self) -> list[date]:
        """First days of the weeks whose interactions a run needs: the label weeks, and four before the oldest
        snapshot for what is computed over the last 28 days."""
        return [self.as_of_date - j * WEEK for j in range(1, len(self.feature_dates) + 4)]
