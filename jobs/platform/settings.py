"""Every parameter of every job, in one place: name, type, limits, default and help text.

A value comes from the command line (`--top-k 20`), else from the environment (`ATELIER_TOP_K=20`), else from the
default here. A job names those that it takes in its SETTINGS, as it names its tables in READS and WRITES; the forms of
the DAGs are made of the same definitions (jobs.platform.dag_interface).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.platform.setting_types import (
    Day,
    EmptyIsAbsent,
    Encoder,
    Location,
    Method,
    System,
    SystemSources,
    TextEncoder,
    TrainingWeeks,
)

WEEK = timedelta(days=7)
#: Weekday that weeks begin on, and end before.
WEDNESDAY = 2
#: Whole weeks before the as-of date that a model is judged on, unknown to its evaluated fit: one decides nothing.
EVALUATION_FOLDS = 4

#: What every job takes.
COMMON = ("as_of_date", "run_id", "warehouse", "published_file")


class Settings(BaseSettings):
    """Parameters of a run, of all jobs together; `Settings.of` has those of one job."""

    model_config = SettingsConfigDict(
        env_prefix="ATELIER_",
        cli_kebab_case=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_exit_on_error=False,
        extra="forbid",
    )

    # Of every job: COMMON.
    as_of_date: Day = Field(description="Nothing dated on or after this day touches the run (YYYY-MM-DD)")
    run_id: str = Field(
        "manual", min_length=1, max_length=250, description="Stamp of this run: Airflow's run id, or any name"
    )
    warehouse: Location = Field("warehouse", description="Root of all Delta tables: a folder or an object-store URI")
    published_file: Annotated[Path | None, EmptyIsAbsent] = Field(
        None, description="Where to write, as JSON, what was published: table, version, rows, Data Docs page"
    )

    # Of jobs that publish, and of the gate.
    accept_drift: bool = Field(
        False,
        description="Publish although row counts or distributions moved further than a gate allows; recorded as such",
    )

    # Of jobs that look at the retailer's files.
    data: Location = Field(
        "data/sample", description="The retailer's files, and images/ if any: a folder or an object-store URI"
    )
    mapping: str = Field(
        "hm",
        description="Which file and column plays which part: hm, completejourney, fashion_product_images,"
        " or a TOML file",
    )
    event_mapping: str = Field(
        "atelier",
        description="Fields of the shop's log: atelier, twentytoo, otto, retailrocket, rees46, or a .toml file",
    )
    session_gap_minutes: int = Field(
        30, ge=1, le=24 * 60, description="A longer pause between two events of a visitor ends a session"
    )
    max_quarantine_share: float = Field(
        0.05, ge=0, le=1, description="Stop when more than this share of a file's rows is bad"
    )

    # Of jobs that look at pictures, or at what was seen on them.
    encoder: Encoder = Field(
        "efficientnet_lite0",
        description="Image encoder: efficientnet_lite0 (ImageNet weights, installed), efficientnet_lite0_colour (the"
        " same, joined with the garment's colours), resnet152, resnet50 or mobilenet_v2 (ImageNet weights through"
        " torchvision), fashion_clip, align, catalogue (trained here on the catalogue's labels), catalogue_lite0"
        " (likewise, from efficientnet_lite0's weights on), autoencoder (trained here on its images alone) or"
        " eigenfaces (PCA of grey pixels)",
    )
    weights_dir: Annotated[Path | None, EmptyIsAbsent] = Field(
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
    sweep_images: int = Field(
        3_000, ge=2, le=40_000, description="Images the autoencoder's sweep trains on and holds out"
    )
    sweep_learning_rates: tuple[PositiveFloat, ...] = Field(
        (0.01, 0.001), min_length=1, description="Learning rates of the autoencoder's sweep, with commas between"
    )
    sweep_epochs: tuple[PositiveInt, ...] = Field(
        (30, 50, 100), min_length=1, description="Epochs of the autoencoder's sweep, with commas between"
    )
    method: Method = Field(
        "cosine_efficientnet_lite0_colour",
        description="How similar articles are found: by pictures (metric and image encoder), by texts (tfidf, minilm,"
        " ...), in the joint space of both (joint: their sum), or by the fused ranks of joint, minilm and tfidf",
    )

    # Of jobs that look at descriptions.
    text_encoder: TextEncoder = Field(
        "minilm",
        description="Text encoder: minilm (a sentence encoder that the set-up fetches), tfidf (words and letters,"
        " fitted on the catalogue), roberta, or the text towers of fashion_clip and align (from the hub)",
    )
    keyword_method: Literal["tfidf", "yake"] = Field(
        "tfidf", description="How keywords of descriptions are found; yake is an optional package of licence GPL-3.0"
    )
    language: str = Field("en", description="Language of the descriptions, as ISO 639-1 code such as en or de")

    # Of jobs that fit models, and of those that compute what models are fitted on.
    training_weeks: TrainingWeeks = Field(
        0,
        ge=0,
        le=52,
        description="Label weeks a model is fitted on: the ranker on the newer half, retrieval on the older; 0, or"
        " auto: as many as have enough buyers, 10 to 52",
    )
    backtest_weeks: int = Field(
        0, ge=0, le=52, description="Past weeks of a walk-forward backtest, each with a model of its own"
    )
    backtest_week: int = Field(
        1, ge=1, le=52, description="Which of them a task fits and judges, counted back from the as-of date"
    )
    max_epochs: int = Field(20, ge=1, le=200, description="Epochs at most; the best on the validation week is kept")
    extra_sources: SystemSources = Field(
        (),
        description="Systems that are candidate sources of the two-stage model beside its own, with commas between",
    )
    system: System = Field("als", description="Which recommender system is fitted and judged")
    system_epochs: int = Field(10, ge=1, le=200, description="Passes of a sequence network over the purchases")
    class_weighting: tuple[NonNegativeFloat, ...] = Field(
        (0.0, 0.25),
        min_length=1,
        description="How much rare classes weigh in the tagger's training: by their frequency to the power of minus"
        " this; of several, with commas between, the one that tags validation products best",
    )
    tuned_blocks: int = Field(
        1,
        ge=0,
        le=3,
        description="Last blocks of EfficientNet-Lite0 that the tagger trains further, where that tags validation"
        " products better; 0: none",
    )
    tagging_epochs: int = Field(
        10, ge=1, le=200, description="Passes of the tagging paper's networks over the pictures"
    )
    predicted_property: str = Field(
        "", description="Column of silver/articles, or attribute, that is predicted from the others; empty: none"
    )
    seed: int = Field(20200916, ge=0, description="Seed of every random choice")

    # Of baskets.
    basket_weeks: int = Field(12, ge=1, le=520, description="Weeks before the as-of date whose baskets are looked at")
    basket_of: Literal["day", "session"] = Field(
        "day",
        description="What a basket holds: what a customer bought on one day, or in one visit where the retailer numbers"
        " these; or what was put in the cart or bought in one session of the shop's log",
    )
    max_basket_size: int = Field(
        100, ge=2, le=10_000, description="Baskets with more distinct articles are set aside, and counted"
    )
    min_support: float = Field(
        5, gt=0, description="Baskets that have to hold all of a rule: a number from 1 on, below 1 a share of all"
    )
    min_confidence: float = Field(0, ge=0, le=1, description="Least confidence of a rule")
    min_lift: float = Field(1, ge=0, description="Least lift of a rule; by chance it is 1")
    itemset_size: int = Field(
        2, ge=2, le=10, description="Articles of a rule, both sides together, at most; more than 2 at level article"
    )
    complements_only: bool = Field(
        True, description="Leave other variants (colours, say) of an article's product out of bought_together"
    )

    # Of jobs that make lists, and of reports.
    top_k: int = Field(12, ge=1, le=30, description="Recommendations per customer")
    exclude_bought: bool = Field(False, description="Leave out articles that the customer already bought")
    attribution_days: int = Field(
        7, ge=1, le=90, description="So long after an article was shown, what a visitor does with it counts for that"
    )
    arm_a: str = Field(
        "list=recommendations",
        description="What reports.ab_test compares, as column=value with commas between: list, source, model_version,"
        " position, bucket; a range of numbers as 0-49",
    )
    arm_b: str = Field("list=personal_picks", description="What arm_a is compared with, likewise")
    outcome: Literal["click", "cart", "purchase"] = Field(
        "click", description="What reports.ab_test counts after an impression"
    )
    compared_weeks: int = Field(
        1, ge=1, le=104, description="Weeks before the as-of date whose impressions it compares"
    )
    max_variants: int = Field(2, ge=1, le=30, description="Variants (colours, say) of one product in a list at most")
    new_arrivals_share: float = Field(
        0.08, ge=0, le=1, description="Share of a list for articles on sale for two weeks at most, where ranked at all"
    )
    diversity: float = Field(
        0.05, ge=0, le=1, description="How much unlike pictures count beside the ranker's order; 0: not at all"
    )
    max_article_share: float = Field(
        0.3, gt=0, le=1, description="Share of all lists that one article may be in, as far as others are ranked"
    )
    write_docs: bool = Field(False, description="Also write a report's results into docs/results/")

    # Of jobs that use MLflow.
    mlflow_tracking_uri: Annotated[str | None, EmptyIsAbsent] = Field(
        None, description="MLflow store; default: SQLite under the warehouse"
    )
    model_name: str = Field("weekly_recommender", description="Name in the MLflow model registry")

    # Of maintenance.
    retention_days: int = Field(
        30, ge=7, le=3650, description="Days that replaced versions of a table, and files of killed runs, are kept"
    )
    dry_run: bool = Field(
        True, description="maintenance.repair_keys: only say what is wrong; false: mend it, in one commit"
    )

    @classmethod
    def of(cls, job: str, names: Iterable[str], about: str | None = None) -> type[Settings]:
        """The settings of one job: no flag and no attribute but COMMON's and these.

        Args:
            job: its name, "ingest.articles".
            names: its SETTINGS.
            about: what `--help` says of the job.
        """
        taken = {*COMMON, *names}
        if unknown := taken - cls.model_fields.keys():
            raise AssertionError(f"{job} declares the setting {unknown.pop()}, which is not in Settings")
        absent = {name: ClassVar[Any] for name in cls.model_fields if name not in taken}
        body = {"__module__": __name__, "__doc__": about or f"Parameters of {job}.", "__annotations__": absent}
        return type(cls.__name__, (cls,), body | {"_job": job, "__getattr__": _undeclared})

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps its records.

        Raises ValueError when the warehouse is a URI and no tracking URI was given: SQLite needs a folder.
        """
        if self.mlflow_tracking_uri:
            return self.mlflow_tracking_uri
        if "://" in self.warehouse:
            raise ValueError("mlflow-tracking-uri must be given when the warehouse is a URI")
        # What a URI gives a meaning of its own, a folder's name may hold.
        folder = str(Path(self.warehouse).resolve()).replace("%", "%25").replace("?", "%3F")
        return f"sqlite:///{folder}/mlflow/mlflow.db"

    @property
    def work_dir(self) -> Path:
        """Local folder for what a killed job can resume from; beside the tables where those are local."""
        return Path("work") if "://" in self.warehouse else Path(self.warehouse).resolve() / "work"

    @property
    def snapshot_dates(self) -> list[date]:
        """As-of dates whose features a run needs, by j: week j starts at `as_of_date - 7 j`.

        j = 0 is the run itself; 1 to EVALUATION_FOLDS the folds its model is judged on; then the validation week; then
        the weeks that the judged model is fitted on, whose number jobs.features.label_weeks gives.
        """
        assert self.training_weeks, "training_weeks: jobs.features.label_weeks.with_training_weeks gives the number"
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


def problems(error: ValidationError) -> str:
    """What is wrong with settings, in one line."""
    found = (
        (".".join(map(str, e["loc"])) or "settings", e["msg"].removeprefix("Value error, ")) for e in error.errors()
    )
    return "; ".join(f"{place}: {words}" for place, words in found)


def _undeclared(settings: Any, name: str) -> Any:
    """What a job gets that asks for a setting without declaring it; other attributes as pydantic has them."""
    if name in Settings.model_fields:
        raise AttributeError(f"{settings._job} uses the setting {name} without declaring it in SETTINGS")
    return BaseSettings.__getattr__(settings, name)  # type: ignore[attr-defined]
