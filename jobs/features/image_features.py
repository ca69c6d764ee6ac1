"""Image features: the dominant colours of each product picture and the outline of the garment on it.

Only pictures that are new or changed, progress by their checksums, are looked at; all rows are then compared with their
colour group anew, since a group's median moves with its articles. A missing or broken picture becomes a flagged row.
What a killed run had looked at lies in the work folder, and the next run goes on there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from expectations.articles import ARTICLES
from expectations.images import IMAGE_FEATURES
from jobs.embeddings import outcomes
from jobs.embeddings.decode import CHANGED, CPUS, ImageFile, Location, inspect_all, open_known, processes
from jobs.embeddings.feature_store import Chunks
from jobs.embeddings.versions import image_folder
from jobs.features import image_descriptors
from jobs.features.colour_groups import with_colour_groups
from jobs.features.image_descriptors import AT_LEAST, Grouping, describe
from jobs.platform.job import Job, run
from jobs.platform.progress import ProgressReporter
from jobs.platform.schemas import arrow_schema

READS, WRITES = (ARTICLES,), (IMAGE_FEATURES,)
#: What it reads of the retailer's delivery.
FILES = ("images",)
SETTINGS = ("accept_drift", "data", "mapping", "max_bad_image_share", "colour_tolerance", "colour_limit")

#: Pictures that a process looks at before it hands in what it found, and a killed run may lose.
CHUNK = 128
SCHEMA = arrow_schema(IMAGE_FEATURES)


@dataclass(frozen=True)
class Pictures:
    """Image files to be looked at; `checksums` are those found before. Can be sent to other processes."""

    paths: Sequence[Location]
    checksums: Sequence[str | None]
    roots: Sequence[Location]
    grouping: Grouping

    def rows(self) -> pa.Table:
        """What became of the files and what they show: columns of gold/image_features, without articles."""
        found = [self._row(path, checksum) for path, checksum in zip(self.paths, self.checksums, strict=True)]
        return pa.Table.from_pylist([{"article_id": "", "method": self.grouping.name, **row} for row in found], SCHEMA)

    def chunks(self) -> list[Pictures]:
        starts = range(0, len(self.paths), CHUNK)
        parts = ((self.paths[i : i + CHUNK], self.checksums[i : i + CHUNK]) for i in starts)
        return [Pictures(*part, self.roots, self.grouping) for part in parts]

    def _row(self, path: Location, checksum: str | None) -> dict[str, object]:
        file, opened = open_known(path, self.roots, checksum, AT_LEAST)
        row = {"image_status": file.status, "image_error": file.error, "image_checksum": file.checksum}
        return row | (describe(opened, self.grouping) if opened else {})


def look_at(pictures: Pictures, max_broken: int, store: Chunks) -> pa.Table:
    """The rows of all pictures, on all cores; ends early once more than `max_broken` cannot be decoded.

    They are kept in the store as they come.
    """
    parts, broken = [SCHEMA.empty_table()], 0
    with ProgressReporter(len(pictures.paths), "images looked at") as progress:
        for part in _on_all_cores(pictures.chunks()):
            parts.append(part)
            store.add(part)
            progress.advance(len(part))
            broken += pc.sum(pc.equal(part["image_status"], "broken")).as_py()
            if broken > max_broken:
                break
    return pa.concat_tables(parts)


def _on_all_cores(chunks: list[Pictures]) -> Iterator[pa.Table]:
    """Rows chunk by chunk, in order. Small arrays keep Python's lock busy, so cores are used by processes."""
    if len(chunks) <= 1:
        yield from (chunk.rows() for chunk in chunks)
        return
    pool = ProcessPoolExecutor(
        CPUS, processes(image_descriptors.__name__), initializer=threadpool_limits, initargs=(1,)
    )
    try:
        yield from pool.map(Pictures.rows, chunks)
    finally:
        pool.shutdown(cancel_futures=True)


def _known(stored: pa.Table, method: str) -> pa.Table:
    """Of the rows of an earlier run, those that this method made of a file's content."""
    is_changed = pc.fill_null(pc.equal(stored["image_error"], CHANGED), False)
    is_known = pc.and_(pc.equal(stored["method"], method), stored["image_checksum"].is_valid())
    return stored.filter(pc.and_not(is_known, is_changed))


def _outcomes(rows: pa.Table) -> dict[str, ImageFile]:
    """Checksum -> what became of the file."""
    columns = (rows[name].to_pylist() for name in ("image_status", "image_error", "image_checksum"))
    return {checksum: ImageFile(status, error, checksum) for status, error, checksum in zip(*columns, strict=True)}


def _table(article_ids: pa.ChunkedArray, files: Sequence[ImageFile], looked_at: pa.Table, method: str) -> pa.Table:
    """One row per article: what became of its file, and what rows about the same content say that it shows."""
    place = {checksum: i for i, checksum in enumerate(looked_at["image_checksum"].to_pylist())}
    shown = looked_at.take(pa.array([place.get(file.checksum or "") for file in files], pa.int64()))
    columns = {name: shown[name] for name in SCHEMA.names} | {
        "article_id": article_ids,
        "image_status": pa.array([file.status for file in files], pa.string()),
        "image_error": pa.array([file.error for file in files], pa.string()),
        "image_checksum": pa.array([file.checksum for file in files], pa.string()),
        "method": pa.repeat(method, len(files)),
    }
    return pa.table(columns, schema=SCHEMA)


def _unusual(table: pa.Table, groups: pa.ChunkedArray) -> str:
    """How many articles have a colour that is unusual in their colour group, and where most of them are."""
    counts = Counter(groups.filter(table["is_colour_unusual"]).to_pylist())
    most = ", ".join(f"{name} {n:,}" for name, n in counts.most_common(3))
    return f"{counts.total():,} unlike their colour group" + (f" (most: {most})" if most else "")


def main(job: Job) -> str:
    settings, folder = job.settings, image_folder(job.settings)
    if folder is None:
        return f"no images for mapping {settings.mapping} in {settings.data}: nothing to look at"
    grouping = Grouping(settings.colour_tolerance, settings.colour_limit)
    articles = job.read_arrow(ARTICLES, ["article_id", "colour_group_name"]).sort_by("article_id")
    paths = [folder.path(article_id) for article_id in articles["article_id"].to_pylist()]
    stored = SCHEMA.empty_table()
    if job.exists(IMAGE_FEATURES):
        stored = job.read_arrow(IMAGE_FEATURES, SCHEMA.names).sort_by("article_id").cast(SCHEMA)
    store = Chunks(settings.work_dir / "image_features" / grouping.name)
    known = _known(pa.concat_tables([stored, *store.tables()]), grouping.name)
    files = outcomes.settled(inspect_all(paths, folder.roots), _outcomes(known))
    outcomes.refuse_if_bad(files, paths, settings.max_bad_image_share)
    seen = set(known["image_checksum"].to_pylist())
    new = list({f.checksum: i for i, f in enumerate(files) if f.status == "ok" and f.checksum not in seen}.values())
    pictures = Pictures([paths[i] for i in new], [files[i].checksum for i in new], folder.roots, grouping)
    found = look_at(pictures, outcomes.broken_allowed(files, settings.max_bad_image_share), store)
    files = outcomes.settled(files, _outcomes(found))
    outcomes.refuse_if_bad(files, paths, settings.max_bad_image_share)
    table = _table(articles["article_id"], files, pa.concat_tables([known, found]), grouping.name)
    table = with_colour_groups(table, articles["colour_group_name"].to_pylist())
    summary = f"{outcomes.summary(files)}; {_unusual(table, articles['colour_group_name'])}"
    if not (up_to_date := table.equals(stored)):
        job.publish(IMAGE_FEATURES, table, replace={})
    store.remove()
    return f"{summary}: up to date" if up_to_date else f"{summary}; {len(new):,} newly looked at"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
