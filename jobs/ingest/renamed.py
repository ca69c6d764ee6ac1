"""Articles that go by another id today: `[articles.renamed]` of a mapping, old id = new id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from jobs.platform.errors import JobError


def newest_ids(renamed: Mapping[str, str]) -> dict[str, str]:
    """Old id -> the id at the end of its chain of new ones; raises ValueError where that leads back to an id."""
    found = {}
    for old in renamed:
        chain = [old]
        while chain[-1] in renamed:
            if renamed[chain[-1]] in chain:
                raise ValueError(f"{' -> '.join([*chain, renamed[chain[-1]]])}: a circle")
            chain.append(renamed[chain[-1]])
        found[old] = chain[-1]
    return found


def with_newest_ids(ids: pa.DictionaryArray, renamed: Mapping[str, str]) -> pa.DictionaryArray:
    """The ids, newest ones in place of those in `renamed`."""
    names = newest_ids(renamed)
    if not names or not pc.any(pc.is_in(ids.dictionary, value_set=pa.array(names, pa.string()))).as_py():
        return ids
    newest = pa.array([names.get(each, each) for each in ids.dictionary.to_pylist()], pa.string())
    return newest.take(ids.indices).dictionary_encode()


def refuse_unknown(renamed: Mapping[str, str], known: Iterable[str], file: str) -> None:
    """Raise JobError where a new id is neither in the list, a file, nor known from earlier ones.

    Args:
        renamed: old id -> new id.
        known: all ids that are.
        file: name of the list.
    """
    there = set(known) if renamed else set()
    if unknown := sorted(f"{old} = {new}" for old, new in newest_ids(renamed).items() if new not in there):
        raise JobError(
            f"{file}: has none of the new ids that articles.renamed in the mapping gives in {', '.join(unknown)};"
            " nothing published, correct the mapping or deliver the list that has them"
        )
