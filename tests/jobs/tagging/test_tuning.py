"""EfficientNet-Lite0's last block trained further: as a network, and through the jobs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.tagging import ARTICLE_TAGS, TAGGING_METRICS
from jobs.embeddings import images
from jobs.embeddings.efficientnet import lite0, tail, trunk, trunk_shape
from jobs.ingest import articles
from jobs.tagging import fit, tag, train, tuning
from jobs.tagging.labels import labels_of
from lightning_modules.tuned_tagger import FEATURES, TunedTagger
from sample_data.styles import write
from tests.jobs.tagging.test_jobs import rows, run


@pytest.mark.parametrize("blocks", [1, 3])
def test_trunk_and_tail_are_the_whole_network(blocks: int) -> None:
    pictures = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        middle = trunk(blocks).network(pictures).reshape(2, *trunk_shape(blocks))
        assert torch.allclose(tail(blocks)(middle), lite0()(pictures), atol=1e-4)


def examples(count: int) -> fit.Examples:
    """Articles of three kinds that pictures alone tell, by where they are bright; vectors are noise."""
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=count)
    activations = rng.normal(size=(count, *trunk_shape(1))).astype(np.float16)
    for n in range(3):
        activations[kind == n, 8 * n : 8 * n + 8] += 3
    labels = labels_of({"kind": pa.chunked_array([[f"kind {k}" for k in kind]])})
    return fit.Examples(rng.normal(size=(count, 4)).astype(np.float32), labels, activations)


def test_a_step_moves_the_tail_but_not_its_statistics() -> None:
    shop, width = examples(8), [0.0] * (4 + FEATURES)
    own = {"classes": {"kind": 3}, "mean": width, "deviation": [1.0] * len(width), "frequency": [1 / 3] * 3, "steps": 1}
    module = TunedTagger(1, own, steps=1).train()
    before = {name: value.clone() for name, value in module.tail.state_dict().items()}
    batch = tuple(torch.from_numpy(part) for part in (shop.activations, shop.vectors, shop.labels.codes))
    module.training_step(batch, 0).backward()  # type: ignore[arg-type]
    torch.optim.SGD(module.parameters(), 0.1).step()
    after = module.tail.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert "head.0.weight" in moved and any(name.startswith("blocks.0") for name in moved)
    assert not [name for name in moved if "running" in name]


def test_a_tuned_tagger_sees_what_vectors_do_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MIN_STEPS", 30)
    monkeypatch.setattr(tuning, "EPOCHS", 1)
    shop, training, validation = examples(200), np.arange(130), np.arange(130, 200)
    frozen = fit.fit(shop, training, validation, "e", tmp_path / "frozen", 1, balances=[0.0])
    tuned = tuning.tune(frozen, shop, training, validation, 1, tmp_path / "tuned", 1)
    assert tuning.error(tuned, shop, validation) < 0.1 < 0.4 < tuning.error(frozen, shop, validation)
    assert tuned.tuned_blocks == 1 and frozen.tuned_blocks == 0

    monkeypatch.setattr(tuning, "fit_heads", None)  # what a killed run had fitted is not fitted again
    again = tuning.tune(frozen, shop, training, validation, 1, tmp_path / "tuned", 1)
    before, after = (each.likeliest(each.inputs(shop, validation))["kind"] for each in (tuned, again))
    assert np.allclose(before[1], after[1], atol=1e-5) and (before[0] == after[0]).all()


def test_pictures_that_arrive_are_tagged_by_a_tuned_tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, warehouse, count = tmp_path / "data", tmp_path / "warehouse", 64
    write(data, count, seed=3)
    lines = [line.split(",") for line in (data / "styles.csv").read_text().rstrip("\n").split("\n")]
    for line in lines[1:]:
        line[6] = ""  # nothing is said of any season
    lines[5][1] = "  "  # nor of this one's gender

    def deliver(number: int) -> None:
        (data / "styles.csv").write_text("\n".join(",".join(line) for line in lines[: number + 1]) + "\n")

    for n, picture in enumerate(sorted((data / "images").iterdir())):
        if n % 2:  # grey pictures, of one channel
            Image.open(picture).convert("L").save(picture)
    deliver(count - 4)
    monkeypatch.setattr(fit, "EPOCHS", 2)
    monkeypatch.setattr(fit, "MIN_STEPS", 1)
    monkeypatch.setattr(tuning, "MIN_PICTURES", 10)
    monkeypatch.setattr(tuning, "EPOCHS", 1)
    monkeypatch.setattr(tuning, "error", lambda each, *_: 0.0 if each.tail else 1.0)  # however little it helps
    encoder = {"encoder": "efficientnet_lite0", "class_weighting": (0.0, 0.25)}
    run(articles, data, warehouse)
    run(images, data, warehouse, **encoder)
    assert all(row["image_error"] is None for row in rows(warehouse, ARTICLE_EMBEDDINGS) if row["image_status"] == "ok")
    said = run(train, data, warehouse, **encoder)
    assert "its last block trained further" in said and "season is left out: no article has a value" in said
    systems = {row["system"] for row in rows(warehouse, TAGGING_METRICS)}
    assert systems == {"tagger", "frozen", "linear_probe", "majority_class"}
    run(tag, data, warehouse)
    first = rows(warehouse, ARTICLE_TAGS)
    filled = [row for row in first if row["is_filled_in"]]
    assert all(row["stated_value"] is None and not row["is_unknown"] for row in filled)
    blank = [row for row in first if row["stated_value"] is None]
    assert {(row["label"], row["article_id"]) for row in blank} == {("gender", lines[5][0])}
    assert not (warehouse / "work" / "embeddings").exists() or not list((warehouse / "work").rglob("*trunk*"))

    deliver(count)
    run(articles, data, warehouse)
    run(images, data, warehouse, **encoder)
    labels = {row["label"] for row in first}
    said = run(tag, data, warehouse, as_of_date=date(2020, 9, 30))
    assert f"{3 * len(labels)} tags of 3 new or changed ones" in said  # the fourth has no picture
    new = [row for row in rows(warehouse, ARTICLE_TAGS) if row["as_of_date"] == date(2020, 9, 30)]
    assert {row["article_id"] for row in new} == {line[0] for line in lines[-4:-1]}
