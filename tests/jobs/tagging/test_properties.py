"""A property from the others: what gives it away is found, and the rest is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from expectations.tagging import TAGGING_METRICS
from jobs.ingest import articles
from jobs.platform.errors import JobError
from jobs.tagging import properties
from jobs.tagging.properties import information, inputs_of
from sample_data.styles import write
from tests.jobs.tagging.test_jobs import rows, run


def test_what_gives_the_answer_away_and_what_does_not() -> None:
    rng = np.random.default_rng(1)
    target = rng.integers(2, size=3_000)
    noisy = np.where(rng.random(3_000) < 0.9, target, 1 - target)
    assert information(target * 3 + rng.integers(3, size=3_000), target, 1) == pytest.approx(1)
    assert 0.4 < information(noisy, target, 1) < 0.6
    assert abs(information(rng.integers(800, size=3_000), target, 1)) < 0.1  # many values tell by chance alone
    table = {
        "code": pa.chunked_array([[f"F{t}" for t in target]]),
        "hint": pa.chunked_array([[str(n) for n in noisy]]),
        "name": pa.chunked_array([[f"name {n}" for n in range(3_000)]]),
        "empty": pa.chunked_array([pa.nulls(3_000, pa.string())]),
    }
    inputs, given_away = inputs_of(table, target, np.zeros((3_000, 0), np.float32), 1)
    assert inputs.names == ["hint"] and list(given_away) == ["code"]


@pytest.mark.filterwarnings("error:.*eval_set.*is deprecated")  # it would stand in the task's log
def test_properties_of_a_catalogue(tmp_path: Path) -> None:
    """Also the paper's isFragile: a boolean that the type mostly tells, beside a code that tells it all."""
    data, warehouse = tmp_path / "data", tmp_path / "warehouse"
    write(data, 400, seed=1)
    for picture in (data / "images").iterdir():
        picture.unlink()
    rng = np.random.default_rng(2)
    header, *lines = (data / "styles.csv").read_text().rstrip("\n").split("\n")
    whole = [header.replace("usage,", "usage,isFragile,packing,")]
    for line in lines:
        *fields, name = line.split(",", 9)
        is_fragile = bool((fields[3] == "Topwear") ^ (rng.random() < 0.1))
        whole.append(",".join([*fields, str(is_fragile), "box" if is_fragile else "bag", name]))
    (data / "styles.csv").write_text("\n".join(whole) + "\n")
    shipped = Path(articles.__file__).with_name("mappings").joinpath("fashion_product_images.toml").read_text()
    own = tmp_path / "own.toml"
    own.write_text(f'{shipped}isFragile = "isFragile"\npacking = "packing"\n')

    def predict(name: str = "") -> str:
        return run(properties, data, warehouse, mapping=str(own), predicted_property=name, max_epochs=12)

    run(articles, data, warehouse, mapping=str(own))
    assert "no property named" in predict()
    words = "predicted_property isBreakable: no such column or attribute of the catalogue; it has"
    with pytest.raises(JobError, match=words):
        predict("isBreakable")
    said = predict("masterCategory")
    assert "left out because they give it away: product_type_name (1.00)" in said and "subCategory (1.00)" in said
    assert "without pictures" in said and "garment_group_name (1.00)" in said
    said = predict("isFragile")
    assert "isFragile of 400 articles, 2 values" in said
    assert "left out because they give it away: packing (1.00)" in said
    assert Path(said.rpartition("loss curve file://")[2]).stat().st_size > 5_000
    found = {(f["label"], f["system"], f["metric"]): f["value"] for f in rows(warehouse, TAGGING_METRICS)}
    assert {system for _, system, _ in found} == {"network", "boosted_tree", "majority_class"}
    majority = found["isFragile", "majority_class", "accuracy"]
    assert min(found["isFragile", system, "accuracy"] for system in ("network", "boosted_tree")) > majority + 0.1
