"""Catalogues that are hard to tag: a clear result or one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.embeddings import images
from jobs.ingest import articles
from jobs.platform.errors import JobError
from jobs.tagging import audit, fit, paper_track, properties, tag, tagger, train
from jobs.tagging.figures import draw_all, tag_figures
from jobs.tagging.labels import labels_of
from sample_data.styles import write
from tests.jobs.tagging.test_jobs import run
from tests.jobs.tagging.test_labels import blobs


def test_a_class_of_one_article_is_none_that_is_judged_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MIN_STEPS", 60)
    shop = blobs()
    names = np.array(shop.labels.classes["kind"], dtype=object)[shop.labels.codes[:, 0]]
    for place in (5, 1_100, 1_590):  # one to train on, one to validate on, one to test on
        names[place] = f"only {place}"
    labels = labels_of({"kind": pa.chunked_array([pa.array(names, pa.string())])})
    examples, test = fit.Examples(shop.vectors, labels), np.arange(1_300, 1_600)
    fitted = fit.fit(examples, np.arange(1_000), np.arange(1_000, 1_300), "e", tmp_path / "fit", 1, balances=[0.25])
    value = {f.metric: f.value for f in tag_figures("tagger", "random", fitted, examples, test)}
    assert value["accuracy"] > 0.6 and 0 < value["balanced_accuracy"] < 1
    code, probability = fitted.likeliest(examples.vectors)["kind"]
    assert np.isfinite(probability).all()
    assert names[code == labels.classes["kind"].index("only 1590")].size == 0  # nothing is tagged as what none had seen
    draw_all(fitted, examples, test, tmp_path)
    assert (tmp_path / "confusion_kind.png").stat().st_size > 5_000


def test_ten_thousand_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "EPOCHS", 1)
    monkeypatch.setattr(fit, "MIN_STEPS", 1)
    rng, count = np.random.default_rng(0), 20_000
    names = [f"class {n % 10_000}" for n in range(count)]
    labels = labels_of({"kind": pa.chunked_array([names])})
    assert len(labels.classes["kind"]) == 10_000
    examples = fit.Examples(rng.normal(size=(count, 8)).astype(np.float32), labels)
    fitted = fit.fit(examples, np.arange(500), np.arange(500, 900), "e", tmp_path / "fit", 1, balances=[0.0])
    blocks = [rows.stop - rows.start for rows, _ in fitted.blocks(examples.vectors[:900])]
    assert len(blocks) > 1 and max(blocks) * 10_000 <= tagger.PROBABILITIES
    draw_all(fitted, examples, np.arange(900), tmp_path)
    assert 5_000 < (tmp_path / "confusion_kind.png").stat().st_size < 1_000_000
    few = labels_of({"kind": pa.chunked_array([names]), "id": pa.chunked_array([[str(n) for n in range(count)]])})
    assert few.left_out == {"id": "20,000 values of 20,000 articles are names, no classes"}


def test_all_pictures_broken(tmp_path: Path) -> None:
    data, warehouse = tmp_path / "data", tmp_path / "warehouse"
    write(data, 30, seed=2)
    for picture in (data / "images").iterdir():
        picture.write_bytes(b"not a picture")
    run(articles, data, warehouse)
    with pytest.raises(JobError, match=r"25 of 25 images cannot be read, more than the share of 0\.2, such as"):
        run(images, data, warehouse)
    with pytest.raises(JobError, match="0 readable images are too few to fit an image encoder on"):
        run(images, data, warehouse, max_bad_image_share=1)
    for module in (train, audit):
        with pytest.raises(JobError, match="encoder eigenfaces was never fitted on these pictures; run embeddings"):
            run(module, data, warehouse)
    with pytest.raises(JobError, match="no article_tagger is registered"):
        run(tag, data, warehouse)
    with pytest.raises(JobError, match="0 pictures with all labels are too few to compare models on"):
        run(paper_track, data, warehouse)
    said = run(properties, data, warehouse, predicted_property="gender", max_epochs=1)
    assert "without pictures" in said
