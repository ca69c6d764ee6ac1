"""What became of a catalogue's image files, in numbers, and when too many of them are bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from jobs.embeddings.decode import ImageFile, Location
from jobs.platform.errors import JobError


def settled(files: Sequence[ImageFile], known: Mapping[str, ImageFile]) -> list[ImageFile]:
    """The files, those that could be read so far replaced by what is known of their content, by checksum."""
    return [known.get(file.checksum or "", file) if file.status == "ok" else file for file in files]


def broken_allowed(files: Sequence[ImageFile], max_share: float) -> int:
    """How many more images may turn out to be broken."""
    return int(max_share * _present(files)) - sum(file.status == "broken" for file in files)


def refuse_if_bad(files: Sequence[ImageFile], paths: Sequence[Location], max_share: float) -> None:
    """Raise JobError when more than `max_share` of the images there are cannot be read."""
    broken = [i for i, file in enumerate(files) if file.status == "broken"]
    if len(broken) > max_share * _present(files):
        raise JobError(
            f"{len(broken):,} of {_present(files):,} images cannot be read, more than the share of {max_share:g}, such "
            f"as {paths[broken[0]]}: {files[broken[0]].error}; replace them or raise --max-bad-image-share"
        )


def summary(files: Sequence[ImageFile]) -> str:
    """How many are ok, missing and broken, and of which kinds those are that had to be converted."""
    counts = Counter(file.status for file in files)
    kinds = Counter(file.error.split(":")[0] for file in files if file.status == "ok" and file.error)
    words = [f"{counts['ok']:,} images ok"]
    if kinds:
        listed = ", ".join(f"{kind} {n:,}" for kind, n in sorted(kinds.items()))
        words.append(f"{kinds.total():,} of them converted ({listed})")
    return ", ".join([*words, f"{counts['missing']:,} missing", f"{counts['broken']:,} broken"])


def _present(files: Sequence[ImageFile]) -> int:
    return sum(file.status != "missing" for file in files)
