"""Features to model inputs: clipped, imputed, standardised, encoded. Fitted on training time only, saved with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ranking.snapshot import Columns, Floats

#: A category keeps its most frequent values; code 0 is everything else.
MAX_VOCABULARY = 512


@dataclass(frozen=True)
class Preprocessing:
    """Fitted statistics of one kind of entity (customers or articles).

    Attributes:
        medians, means, deviations: per numeric feature, by name.
        minima, maxima: of what training saw, likewise; empty, so that nothing is clipped, before that is known and in
            versions registered without them.
        vocabularies: values of each category, the most frequent first; code = position + 1.
    """

    medians: dict[str, float] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    deviations: dict[str, float] = field(default_factory=dict)
    vocabularies: dict[str, list[str]] = field(default_factory=dict)
    minima: dict[str, float] = field(default_factory=dict)
    maxima: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(cls, rows: Iterable[tuple[Columns, npt.NDArray[np.int64]]]) -> Preprocessing:
        """From the training rows: pairs of all features and the codes of the rows that count."""
        rows = list(rows)
        statistics: dict[str, tuple[float, float, float]] = {}
        for name in rows[0][0].numeric:
            values = np.concatenate([columns.numeric[name][codes] for columns, codes in rows])
            known = values[np.isfinite(values)].astype(np.float64)
            median = float(np.median(known)) if len(known) else 0.0
            filled = np.where(np.isfinite(values), values, median).astype(np.float64)
            # A feature that never varies must become 0, not a division by rounding error.
            deviation = float(filled.std())
            statistics[name] = (median, float(filled.mean()), deviation if deviation > 1e-6 else 1.0)
        vocabularies = {}
        for name in rows[0][0].categories:
            taken = pa.chunked_array([columns.categories[name].take(pa.array(codes)) for columns, codes in rows])
            counts = pc.value_counts(taken.drop_null().combine_chunks())
            pairs = sorted((-c["counts"], c["values"]) for c in counts.to_pylist())
            vocabularies[name] = [value for _, value in pairs[:MAX_VOCABULARY]]
        return cls(
            medians={name: s[0] for name, s in statistics.items()},
            means={name: s[1] for name, s in statistics.items()},
            deviations={name: s[2] for name, s in statistics.items()},
            vocabularies=vocabularies,
        )

    def seen(self, rows: Iterable[tuple[Columns, npt.NDArray[Any] | slice]]) -> Preprocessing:
        """With the ranges of these rows, given as to `fit`: all that the model learns from."""
        ranges: dict[str, tuple[float, float]] = {}
        for columns, codes in rows:
            for name, values in columns.numeric.items():
                known = values[codes][np.isfinite(values[codes])]
                low, high = ranges.get(name, (np.inf, -np.inf))
                ranges[name] = float(known.min(initial=low)), float(known.max(initial=high))
        known_of = {name: limits for name, limits in ranges.items() if limits[0] <= limits[1]}
        minima, maxima = ({name: limits[end] for name, limits in known_of.items()} for end in (0, 1))
        return replace(self, minima=minima, maxima=maxima)

    def clipped(self, numeric: Mapping[str, Floats]) -> dict[str, Floats]:
        """Features, by name, within what training saw of them: what is beyond is the least or the greatest; NaN stays.

        One purchase at an absurd price then moves who bought it, and what was bought, as a dear one would.
        """
        return {
            name: np.clip(values, np.float32(self.minima[name]), np.float32(self.maxima[name]))
            if name in self.minima
            else values
            for name, values in numeric.items()
        }

    def numeric(self, columns: Columns, codes: npt.NDArray[Any]) -> Floats:
        """Rows `codes` with medians for the unknown, standardised, (len(codes), features)."""
        return self.standardised({name: columns.numeric[name][codes] for name in self.means})

    def standardised(self, numeric: Mapping[str, Floats]) -> Floats:
        """Features of any one shape with medians for the unknown, standardised, (*shape, features)."""
        shape = next(iter(numeric.values())).shape
        matrix = np.empty((*shape, len(self.means)), dtype=np.float32)
        for i, name in enumerate(self.means):
            values = np.where(np.isfinite(numeric[name]), numeric[name], np.float32(self.medians[name]))
            matrix[..., i] = (values - self.means[name]) / self.deviations[name]
        return matrix

    def categories(self, columns: Columns, codes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Rows `codes` as vocabulary codes, the mode for the unknown, (len(codes), categories)."""
        matrix = np.empty((len(codes), len(self.vocabularies)), dtype=np.int64)
        for i, (name, vocabulary) in enumerate(self.vocabularies.items()):
            values = columns.categories[name].take(pa.array(codes))
            position = pc.index_in(values, value_set=pa.array(vocabulary, pa.string()))
            encoded = pc.fill_null(pc.add(position, 1), 0).to_numpy(zero_copy_only=False).astype(np.int64)
            is_null = pc.is_null(values).to_numpy(zero_copy_only=False)
            matrix[:, i] = np.where(is_null, 1 if vocabulary else 0, encoded)
        return matrix

    @property
    def vocabulary_sizes(self) -> list[int]:
        return [len(vocabulary) + 1 for vocabulary in self.vocabularies.values()]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessing:
        return cls(**data)
