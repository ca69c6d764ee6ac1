"""The audit: wrong labels are found, by taggers that saw neither the article nor its variants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.tagging import audit, fit
from jobs.tagging.examples import Catalogue
from jobs.tagging.labels import labels_of
from jobs.tagging.tagger import Tagger


def test_nobody_is_judged_by_a_tagger_that_saw_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    kind = rng.integers(4, size=600)
    vectors = (np.eye(4)[kind] * 6 + rng.normal(size=(600, 4))).astype(np.float32)
    stated, wrong = kind.copy(), np.arange(0, 600, 60)
    stated[wrong] = (kind[wrong] + 1) % 4
    labels = labels_of({"kind": pa.chunked_array([[f"kind {k}" for k in stated]])})
    ids = [f"{n:04}" for n in range(600)]
    lines = [f"line {n // 2}" for n in range(600)]  # two variants each
    catalogue = Catalogue(pa.array(ids), fit.Examples(vectors, labels), lines, "e", ids)
    saw, judged = list[set[str]](), list[int]()

    def watched_fit(examples: fit.Examples, training: np.ndarray, validation: np.ndarray, *rest, **more) -> Tagger:
        saw.append({lines[row] for row in [*training, *validation]})
        return fit.fit(examples, training, validation, *rest, **more)

    contradictions = audit.contradictions

    def watched(tagger: Tagger, its: Catalogue, rows: np.ndarray) -> list[dict[str, object]]:
        judged.extend(rows.tolist())
        assert not saw[-1] & {lines[row] for row in rows}
        return contradictions(tagger, its, rows)

    monkeypatch.setattr(fit, "MIN_STEPS", 60)
    monkeypatch.setattr(audit, "fit", watched_fit)
    monkeypatch.setattr(audit, "contradictions", watched)
    found = audit.audit(catalogue, tmp_path, [0.0], seed=1).to_pylist()
    assert sorted(judged) == list(range(600)) and len(saw) == audit.FOLDS
    caught = {row["article_id"] for row in found}
    assert caught <= {ids[n] for n in wrong} and len(caught) >= 8
    assert all(row["value"] == f"kind {kind[ids.index(row['article_id'])]}" for row in found)


def test_an_article_is_once_on_the_sheet() -> None:
    def row(article_id: str, label: str, stated: str, value: str) -> dict[str, object]:
        return {
            "article_id": article_id, "label": label, "stated_value": stated, "value": value, "probability": 0.971
        }  # fmt: skip

    rows = [row("7", "gender", "Men", "Women"), row("9", "usage", "NA", "Casual"), row("7", "season", "Fall", "Summer")]
    assert audit.captions(rows, {"7": "Red dress", "9": None}) == {
        "7": ("7 Red dress", "gender, 1 more", "stated Men", "looks Women (97%)"),
        "9": ("9", "usage", "stated NA", "looks Casual (97%)"),
    }
