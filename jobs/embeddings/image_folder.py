"""Where a retailer's pictures lie. Light to import: the shop window asks it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from jobs.ingest.mapping import load_mapping
from jobs.platform import storage


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


def folder_of(data: str, mapping_name: str) -> ImageFolder | None:
    """The image folder of a retailer's data; None when the retailer has no images, or the data came without them."""
    mapping = load_mapping(mapping_name)
    if mapping.images is None:
        return None
    folder = ImageFolder(data, mapping.images, mapping.image_links)
    return folder if folder.is_there else None
