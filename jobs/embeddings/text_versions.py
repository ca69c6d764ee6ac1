"""Which text encoders there are, and which version of one the settings select. Light to import."""

from __future__ import annotations

from jobs.embeddings.versions import version_name
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, find_versions

#: Setting text_encoder -> what its vectors are made by; change it with the encoder: old and new are never mixed.
KINDS = {
    "minilm": "minilm-l6-v2",
    "tfidf": "tfidf-v1",
    "roberta": "all-distilroberta-v1",
    "fashion_clip": "marqo-fashionclip-text",
    "align": "align-base-text",
}


def registry_name(settings: Settings) -> str:
    """Name of the chosen text encoder in the model registry."""
    return f"{settings.text_encoder}_text_encoder"


def fitted_text_encoder(settings: Settings) -> ModelVersion | None:
    """The registered text encoder that these settings choose; None before its first run. Call use_tracking first.

    It is registered once per retailer and kept. One that was fitted on the catalogue of a later date is not of use:
    that catalogue may hold what was not known yet.
    """
    kind = KINDS[settings.text_encoder]
    return newest_known(find_versions(registry_name(settings), encoder=kind, mapping=settings.mapping), settings)


def newest_known(versions: list[ModelVersion], settings: Settings) -> ModelVersion | None:
    """The first of the versions (the newest first) that a run of this as-of date may know."""
    today = settings.as_of_date.isoformat()
    return next((version for version in versions if version.tags["as_of_date"] <= today), None)


def slice_of(fitted: ModelVersion) -> str:
    """The slice of article_text_embeddings that holds this version's vectors."""
    return version_name(fitted.tags["encoder"], fitted.tags["checksum"], int(fitted.tags["dimensions"]))
