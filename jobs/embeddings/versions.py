"""Which encoder version the settings select. Light to import: the ranking jobs ask it too."""

from __future__ import annotations

from jobs.embeddings.image_folder import ImageFolder, folder_of
from jobs.embeddings.kinds import KINDS
from jobs.ingest.mapping import load_mapping
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, find_versions, use_tracking


def no_folder(settings: Settings) -> str:
    """What is said where image_folder is None."""
    template = load_mapping(settings.mapping).images
    if template is None:
        return f"mapping {settings.mapping} names no images"
    return f"no folder {ImageFolder(settings.data, template).root}, where mapping {settings.mapping} has the images"


def image_folder(settings: Settings) -> ImageFolder | None:
    """The run's image folder; None when the retailer has no images, or the data came without them."""
    return folder_of(settings.data, settings.mapping)


def registry_name(settings: Settings) -> str:
    """Name of the chosen encoder in the model registry."""
    return f"{settings.encoder}_encoder"


def fitted_encoder(settings: Settings) -> ModelVersion | None:
    """The registered encoder that runs with these settings share; None before the first run. Call use_tracking first.

    It is fitted once per retailer and kept, so that vectors stay comparable from week to week. It may be younger than
    the as-of date: it has seen pictures and attributes of articles, which carry no dates, and no transaction.
    """
    found = find_versions(registry_name(settings), encoder=KINDS[settings.encoder], mapping=settings.mapping)
    return found[0] if found else None


def version_name(kind: str, checksum: str, dimensions: int) -> str:
    """Value of the column `encoder`: kind, checksum of weights and PCA, length of the vectors."""
    return f"{kind}-{checksum}-{dimensions}d"


def slice_name(fitted: ModelVersion, settings: Settings) -> str:
    """The slice of article_embeddings that holds the fitted encoder's vectors of the length the settings ask for."""
    dimensions = min(settings.embedding_dim, int(fitted.tags["dimensions"]))
    return version_name(fitted.tags["encoder"], fitted.tags["checksum"], dimensions)


def current_encoder(settings: Settings) -> str | None:
    """The value of article_embeddings.encoder that these settings select; None when there are no images to use."""
    if image_folder(settings) is None:
        return None
    use_tracking(settings)
    fitted = fitted_encoder(settings)
    return slice_name(fitted, settings) if fitted else None
