"""The types of settings: choices by name, and how a text from a command line or a form becomes a value."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

FIRST_DAY, LAST_DAY = date(1980, 1, 1), date(2200, 1, 1)

#: Image encoders (jobs.embeddings.encoders).
Encoder = Literal[
    "efficientnet_lite0",
    "efficientnet_lite0_colour",
    "resnet152",
    "resnet50",
    "mobilenet_v2",
    "fashion_clip",
    "align",
    "catalogue",
    "catalogue_lite0",
    "autoencoder",
    "eigenfaces",
]

#: Ways to find similar articles (jobs.similarity).
Method = Literal[
    "cosine_efficientnet_lite0",
    "cosine_efficientnet_lite0_colour",
    "cosine_resnet152",
    "cosine_resnet50",
    "cosine_mobilenet_v2",
    "cosine_fashion_clip",
    "cosine_align",
    "cosine_catalogue",
    "cosine_catalogue_lite0",
    "euclidean_autoencoder",
    "eigenfaces",
    "tfidf",
    "minilm",
    "roberta",
    "fashion_clip_text",
    "fashion_clip_both",
    "align_text",
    "align_both",
    "joint",
    "joint_image",
    "joint_text",
    "fused",
]

#: Text encoders.
TextEncoder = Literal["minilm", "tfidf", "roberta", "fashion_clip", "align"]

#: Recommender systems (jobs.recommenders.registry).
System = Literal[
    "als",
    "als_spark",
    "bpr",
    "logistic_mf",
    "item_knn",
    "user_knn",
    "bought_together",
    "rnn",
    "lstm",
    "gru",
    "rnn_features",
    "lstm_features",
    "gru_features",
    "self_attentive",
    "self_attentive_features",
    "similar_articles",
    "user_based",
    "embedding_image",
    "embedding_text",
    "embedding_joint",
    "two_stage",
    "two_stage_events",
]

#: Systems (jobs.recommenders.registry) that can be candidate sources of the two-stage model: those whose fit can be
#: saved with it. The matrix factorisations of `implicit` but als are fitted anew for each date, Spark's makes what als
#: does, and side features are of the catalogue that a fit found.
SystemSource = Literal["als", "item_knn", "user_knn", "bought_together", "rnn", "lstm", "gru", "self_attentive"]


def _text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _empty_is_absent(value: object) -> object:
    """An empty text field of the DAG's form means "not given"."""
    return None if value == "" else value


def _day(value: object) -> object:
    """A day as a person writes it: pydantic takes digits alone for seconds since 1970."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError(f"{value!r} is no day written as YYYY-MM-DD")
    return value


def _plausible(value: date) -> date:
    """Weeks before and after it have to be days, too, that pandas and Parquet know."""
    if not FIRST_DAY <= value <= LAST_DAY:
        raise ValueError(f"{value} is not between {FIRST_DAY} and {LAST_DAY}")
    return value


def _auto_is_zero(value: object) -> object:
    return 0 if value == "auto" else value


def _no_single_week(value: int) -> int:
    if value == 1:
        raise ValueError("a model needs 2 weeks to be fitted on: one for retrieval, one for the ranker")
    return value


def _location(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError(f"{value!r} names no place: give a folder or an object-store URI")
    return value


def _names(value: object) -> object:
    """Names with commas between, as on the command line; each once, in the order of the choices."""
    names = [name.strip() for name in value.split(",") if name] if isinstance(value, str) else value
    offered = get_args(SystemSource)
    if isinstance(names, list | tuple) and set(names) <= set(offered):
        return tuple(name for name in offered if name in names)
    return names


EmptyIsAbsent = BeforeValidator(_empty_is_absent)
Day = Annotated[date, BeforeValidator(_day), AfterValidator(_plausible)]
Location = Annotated[str, BeforeValidator(_text), AfterValidator(_location)]
SystemSources = Annotated[tuple[SystemSource, ...], NoDecode, BeforeValidator(_names)]
TrainingWeeks = Annotated[int, BeforeValidator(_auto_is_zero), AfterValidator(_no_single_week)]
