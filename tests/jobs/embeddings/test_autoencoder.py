"""The embedding job with the autoencoder: trained once, kept, and found again; and its sweep."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from jobs.embeddings import autoencoder, autoencoder_sweep, encoder_fitting, encoders, versions
from jobs.embeddings.stream import features_of
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.tracking import find_versions, use_tracking
from lightning_modules.autoencoder import FEATURES, SIZE
from tests.jobs.embeddings import drawn
from tests.jobs.embeddings.test_training import articles

N = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalogue of N drawn articles."""
    folder = tmp_path_factory.mktemp("autoencoder")
    drawn.publish_articles(folder, range(N))
    for i in range(N):
        drawn.draw(folder, i)
    return folder


@pytest.fixture(scope="module")
def first_run(data: Path) -> str:
    """Summary of the job's first run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder, "MAX_STEPS", 4)
        return drawn.run(data, encoder="autoencoder")


def test_the_job_trains_registers_and_publishes(data: Path, first_run: str) -> None:
    assert f"PCA {FEATURES} to {N - 1} keeps 100.0% of the variance; held-out mse 0." in first_run
    assert "map.png, reconstructions.png" in first_run
    settings = drawn.settings(data, encoder="autoencoder")
    rows = drawn.rows(data).values()
    assert {row["encoder"] for row in rows} == {versions.current_encoder(settings)}
    assert all(len(row["image_embedding"]) == N - 1 for row in rows)
    (version,) = find_versions("autoencoder_encoder")
    files = {path.name for path in (data / "warehouse" / "mlflow" / "artifacts").rglob("autoencoder_encoder/*")}
    assert files == {
        "network.safetensors",
        "pca.npz",
        "encoder.json",
        "map.png",
        "reconstructions.png",
        "checksums.json",
    }
    logged = mlflow.get_run(version.mlflow_run_id).data.metrics
    assert {"train/mse", "val/mse", "pca/variance_kept"} <= set(logged)


def test_the_picture_has_originals_above_reconstructions(data: Path, first_run: str) -> None:
    (path,) = (data / "warehouse" / "mlflow" / "artifacts").rglob("reconstructions.png")
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[0] == 2 * SIZE and pixels.shape[1] % SIZE == 0
    originals = [encoders.whole_on_white(Image.open(drawn.image_path(data, i)), (SIZE, SIZE)) for i in range(N)]
    assert any(np.array_equal(pixels[:SIZE, :SIZE], original) for original in originals)
    assert not np.array_equal(pixels[:SIZE], pixels[SIZE:])


def test_later_runs_use_the_kept_network(data: Path, first_run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder, "train", lambda *_, **__: pytest.fail("trained again"))
    assert drawn.run(data, encoder="autoencoder").endswith("up to date")
    drawn.publish_articles(data, range(N + 1))
    drawn.draw(data, N)
    assert "1 newly embedded" in drawn.run(data, encoder="autoencoder")


def images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def test_the_registered_network_is_the_trained_one_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder, "MAX_STEPS", 2)
    table = articles([None] * 6)
    trained = autoencoder.train(images(6), table, seed=1)
    settings = drawn.settings(tmp_path, encoder="autoencoder")
    encoder = encoders.with_network(encoders.open_encoder("autoencoder", None), trained.network)
    encoder.network.to(memory_format=torch.channels_last)  # as the job computes
    features = features_of(encoder, torch.from_numpy(images(6)))
    named = table.append_column("product_group_name", [["x"] * 6]).append_column("colour_group_name", [["y"] * 6])
    use_tracking(settings)
    with mlflow.start_run():
        version, pca, _ = encoder_fitting.register(settings, encoder, features.numpy(), named, trained)
    loaded, again = encoder_fitting.load(version, settings)
    loaded.network.to(memory_format=torch.channels_last)
    assert loaded.weights == encoder.weights
    assert torch.equal(features_of(loaded, torch.from_numpy(images(6))), features)
    assert np.array_equal(again.apply(features.numpy(), 3), pca.apply(features.numpy(), 3))


def test_same_seed_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder, "MAX_STEPS", 2)
    weights = [
        encoders.tensors_checksum(autoencoder.train(images(3), articles([None] * 3), seed).network.state_dict())
        for seed in (1, 1, 2)
    ]
    assert weights[0] == weights[1] != weights[2]


def sweep(data: Path, warehouse: Path, **values: object) -> str:
    settings = drawn.settings(data, mlflow_tracking_uri=f"sqlite:///{warehouse}/mlflow.db", **values)
    return autoencoder_sweep.main(
        Job("embeddings.autoencoder_sweep", settings, autoencoder_sweep.READS, autoencoder_sweep.WRITES)
    )


def nested_runs() -> dict[tuple[str, str], mlflow.entities.Run]:
    """(learning rate, epochs) -> its run."""
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return {(r.data.params["learning_rate"], r.data.params["epochs"]): r for r in runs if "epochs" in r.data.params}


def test_the_sweep_writes_nested_runs_and_marks_the_best(data: Path, tmp_path: Path) -> None:
    summary = sweep(data, tmp_path, sweep_epochs=(1, 2), sweep_learning_rates=(0.01, 0.001))
    nested = nested_runs()
    assert set(nested) == {("0.01", "1"), ("0.01", "2"), ("0.001", "1"), ("0.001", "2")}
    (parent,) = {run.data.tags["mlflow.parentRunId"] for run in nested.values()}
    errors = {point: run.data.metrics["val/mse"] for point, run in nested.items()}
    best = min(errors, key=lambda point: errors[point])
    assert [point for point, run in nested.items() if run.data.tags.get("best") == "true"] == [best]
    assert mlflow.get_run(parent).data.params["best_learning_rate"] == best[0]
    assert mlflow.get_run(parent).data.metrics["best/val_mse"] == errors[best]
    assert f"best: learning rate {best[0]}, {best[1]} epochs: held-out error {errors[best]:.5f}" in summary
    client = mlflow.MlflowClient()
    for (_, epochs), run in nested.items():
        assert [m.step for m in client.get_metric_history(run.info.run_id, "val/mse")] == list(
            range(1, 1 + int(epochs))
        )
        assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["reconstructions.png"]
    assert [f.path for f in client.list_artifacts(parent)] == ["sweep.md"]


def test_a_longer_training_begins_with_the_shorter(data: Path, tmp_path: Path) -> None:
    """What the sweep relies on; and the same seed gives the same errors."""
    sweep(data, tmp_path / "a", sweep_epochs=(1, 2), sweep_learning_rates=(0.001,))
    both = {epochs: run.data.metrics for (_, epochs), run in nested_runs().items()}
    sweep(data, tmp_path / "b", sweep_epochs=(1,), sweep_learning_rates=(0.001,))
    ((_, alone),) = [(point, run.data.metrics) for point, run in nested_runs().items()]
    assert alone["val/mse"] == both["1"]["val/mse"] and alone["train/mse"] == both["1"]["train/mse"]
    assert both["2"]["val/mse"] != both["1"]["val/mse"]


def test_the_sweep_says_what_is_missing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no images for mapping completejourney"):
        sweep(data, tmp_path, mapping="completejourney")
    with pytest.raises(JobError, match="none of 2 images is held out to compare by; raise --sweep-images"):
        sweep(data, tmp_path, sweep_images=2)


def test_the_table_is_in_the_papers_order() -> None:
    points = [
        autoencoder_sweep.Point(0.001, 50, 0.2, 0.25, "a"),
        autoencoder_sweep.Point(0.01, 30, 0.123456, 0.5, "b"),
        autoencoder_sweep.Point(0.001, 30, 0.3, 0.4, "c"),
    ]
    assert autoencoder_sweep.table(points).splitlines()[2:] == [
        "| 30 | 0.01 | 0.12346 | 0.50000 |",
        "| 30 | 0.001 | 0.30000 | 0.40000 |",
        "| 50 | 0.001 | 0.20000 | 0.25000 |",
    ]
