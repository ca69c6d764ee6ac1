"""What the DAGs share: form fields and how a task is run."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, Param

TASK_DEFAULTS: dict[str, Any] = {
    "pool": "heavy",
    "weight_rule": "absolute",  # all alike, so the oldest week goes first and a backfill runs week by week
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=12),
}

#: Of DAGs that nobody but a person starts; the weekly run's tasks, of weight 1, go before theirs.
BY_HAND: dict[str, Any] = {
    "schedule": None,
    "start_date": datetime(2000, 1, 5, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": TASK_DEFAULTS | {"priority_weight": 0},
}

#: What the weekly DAG takes in, for DAGs that wait for it. Each event's `extra` holds the parameters of its run, as-of
#: date included: a run that an asset starts has no date of its own.
ARTICLES, TRANSACTIONS = Asset("silver/articles"), Asset("silver/transactions")


#: Systems that can be candidate sources: jobs.platform.settings.SystemSource; a test holds the two together.
SOURCES = ["als", "item_knn", "user_knn", "rnn", "lstm", "gru", "self_attentive"]


def setting(name: str, default: Any, **schema: Any) -> Param:
    """A field of the trigger form. The default is ATELIER_<NAME> where that is set, as for the jobs themselves."""
    text = os.environ.get(f"ATELIER_{name.upper()}")
    if text is not None and isinstance(default, list):
        default = [part for part in text.split(",") if part]
    elif text is not None:
        default = text if isinstance(default, str | None) else json.loads(text.lower())
    return Param(default, **schema)


def warehouse_setting() -> Param:
    """The field every form has."""
    return setting(
        "warehouse",
        "warehouse",
        type="string",
        description="Root of all Delta tables: a folder or an object-store URI",
    )


def retailer_settings() -> dict[str, Param]:
    """The fields that say whose data is worked on, and where."""
    return {
        "data": setting(
            "data",
            "data/sample",
            type="string",
            description="The retailer's files, and images/ if any: a folder or an object-store URI",
        ),
        "warehouse": warehouse_setting(),
        "mapping": setting(
            "mapping",
            "hm",
            type="string",
            description="Which file and column plays which part: hm, completejourney, or a TOML file",
        ),
    }


def encoder_setting() -> Param:
    """What looks at the pictures."""
    return setting(
        "encoder",
        "resnet152",
        enum=["resnet152", "resnet50", "mobilenet_v2", "fashion_clip", "catalogue", "autoencoder", "eigenfaces"],
        description="Image encoder: resnet152, resnet50 or mobilenet_v2 (ImageNet weights through torchvision),"
        " fashion_clip, catalogue (trained here on the catalogue's labels), autoencoder"
        " (trained here on its images alone) or eigenfaces (PCA of grey pixels)",
    )


def fit_settings() -> dict[str, Param]:
    """On how much, and for how long, a model is fitted."""
    return {
        "training_weeks": setting(
            "training_weeks",
            10,
            type="integer",
            minimum=2,
            maximum=52,
            description="Label weeks a model is fitted on: the ranker on the newer half, retrieval on the older",
        ),
        "max_epochs": setting(
            "max_epochs",
            20,
            type="integer",
            minimum=1,
            maximum=200,
            description="Epochs at most; the best on the validation week is kept",
        ),
        "extra_sources": setting(
            "extra_sources",
            [],
            type="array",
            items={"type": "string", "enum": SOURCES},
            examples=SOURCES,
            description="Systems that are candidate sources of the two-stage model beside its own, with commas between",
        ),
        "system_epochs": epochs_setting(),
    }


def epochs_setting() -> Param:
    """How long a sequence network is fitted."""
    return setting(
        "system_epochs",
        10,
        type="integer",
        minimum=1,
        maximum=200,
        description="Passes of such a network over the purchases",
    )


def weights_setting() -> Param:
    """Where the image encoders' weights are."""
    return setting(
        "weights_dir",
        None,
        type=["null", "string"],
        description="Local folder with the encoders' weight files, instead of the hub",
    )


def accept_drift_setting() -> Param:
    """Whether the gates on changes only tell."""
    return setting(
        "accept_drift",
        False,
        type="boolean",
        description="Publish although row counts or distributions moved further than a gate allows; recorded as such",
    )


def seed_setting() -> Param:
    """What makes random choices repeatable."""
    return setting("seed", 20200916, type="integer", minimum=0, description="Seed of every random choice")


def top_k_setting() -> Param:
    """How long the lists are."""
    return setting("top_k", 12, type="integer", minimum=1, maximum=30, description="Recommendations per customer")


def flags(names: list[str]) -> list[str]:
    """The form's fields on a job's command line: an empty value for an empty field, several with commas between."""
    values = "'' if {0} is none else {0} if {0} is string or {0} is not sequence else {0} | join(',')"
    return [f"--{name.replace('_', '-')}={{{{ {values.format(f'params.{name}')} }}}}" for name in names]
