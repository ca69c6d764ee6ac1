"""Which encoder version the settings select. Light to import: the ranking jobs ask it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from jobs.embeddings.kinds import KINDS
from jobs.ingest.mapping import load_mapping
from jobs.platform import storage
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, find_versions, use_tracking


@dataclass(frozen=True)
class ImageFolder:
    """Where a retailer's pictures lie.

    Attributes:
        data: the data folder.
        template: of an article's path in it.
        links: a folder that pictures may be links into besides, from the data folder on; None: there is none.
    """

    data: str
    template: str
    links: str | None = None

    @property
    def root(self) -> str:
        return storage.normalized(f"{self.data}/{self.template.split('{')[0]}")

    @property
    def roots(self) -> tuple[str, ...]:
        """The folders that every picture lies in one of, even through links."""
        linked = [str(Path(self.data, self.links))] if self.links and not storage.is_uri(self.data) else []
        return (self.root, *linked)

    def path(self, article_id: str) -> str:
        return f"{self.data}/{self.template.format(article_id=article_id, prefix=article_id[:3])}"

    @property
    def is_there(self) -> bool:
        filesystem, root = storage.filesystem(self.root)
        return filesystem.get_file_info(root).type == pafs.FileType.Directory

    def without(self, path: str | None) -> str:
        """What is said where no article has a picture: the path that was looked for, and what is there instead."""
        filesystem, root = storage.filesystem(self.root)
        there = filesystem.get_file_info(pafs.FileSelector(root, recursive=True))
        files = sorted(info.path for info in there if info.type == pafs.FileType.File)
        such = f", such as {files[0]}" if files else ""
        return f"no picture of any article, such as {path}; {self.root} has {len(files):,} files{such}"


def no_folder(settings: Settings) -> str:
    """What is said where image_folder is None."""
    template = load_mapping(settings.mapping).images
    if template is None:
        return f"mapping {settings.mapping} names no images"
    return f"no folder {ImageFolder(settings.data, template).root}, where mapping {settings.mapping} has the images"


def image_folder(settings: Settings) -> ImageFolder | None:
    """The run's image folder; None when the retailer has no images, or the data came without them."""
    mapping = load_mapping(settings.mapping)
    if mapping.images is None:
        return None
    folder = ImageFolder(settings.data, mapping.images, mapping.image_links)
    return folder if folder.is_there else None


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
