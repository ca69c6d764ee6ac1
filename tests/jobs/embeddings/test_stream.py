"""Every way from files to features gives the same: on cores, through decoding processes, on several devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.embeddings import encoders, stream
from jobs.embeddings.decode import CHANGED, inspect_all
from jobs.embeddings.feature_store import FeatureStore
from jobs.embeddings.stream import Pictures
from lightning_modules.catalogue_encoder import FEATURES, CatalogueEncoder
from tests.jobs.embeddings import drawn

N = 11


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """N drawn files, of which number 6 cannot be decoded."""
    data = tmp_path_factory.mktemp("pictures")
    for i in range(N):
        drawn.draw(data, i)
    drawn.image_path(data, 6).write_bytes(b"bad")
    paths = [drawn.image_path(data, i) for i in range(N)]
    torch.manual_seed(0)
    checksums = [file.checksum for file in inspect_all(paths, [data])]
    return Pictures(paths, checksums, [data.resolve()], encoders.catalogue(CatalogueEncoder().eval()))


@pytest.fixture(scope="module")
def expected(pictures: Pictures) -> dict[str, np.ndarray]:
    """Checksum -> features, one picture at a time."""
    found = {}
    for row in range(N):
        batch = pictures.__getitems__([row])
        if len(batch.pixels):
            found[batch.files[0].checksum] = stream.features_of(pictures.encoder, batch.pixels)[0].numpy()
    assert len(found) == N - 1
    return found


def agree(store: FeatureStore, pictures: Pictures, expected: dict[str, np.ndarray]) -> None:
    outcomes = store.outcomes()
    assert set(outcomes) == set(pictures.checksums)
    assert [c for c in pictures.checksums if outcomes[c].status == "broken"] == [pictures.checksums[6]]
    assert outcomes[pictures.checksums[6]].error == "not an image of a known format"
    found = {name: row for names, rows in store.blocks(expected) for name, row in zip(names, rows, strict=True)}
    assert set(found) == set(expected)
    for name, row in expected.items():
        assert row.shape == (FEATURES,) and found[name] == pytest.approx(row, abs=1e-5)


def test_on_cores(pictures: Pictures, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    store, threads = FeatureStore(tmp_path / "store"), torch.get_num_threads()
    stream.embed(pictures, store, max_broken=1, devices=0)
    agree(store, pictures, expected)
    assert torch.get_num_threads() == threads


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_on_a_device_with_decoding_processes(
    workers: int, pictures: Pictures, expected: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "GPU_BATCH", 3)
    store = FeatureStore(tmp_path / "store")
    for batch, features in stream.on_device(pictures, range(N), torch.device("cpu"), workers):
        store.keep(batch.files, features)
    agree(store, pictures, expected)


@pytest.mark.slow
def test_two_devices_share_the_files(pictures: Pictures, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store")
    stream.embed(pictures, store, max_broken=1, devices=2)
    assert len(list(store.folder.glob("*.parquet"))) == 2
    agree(store, pictures, expected)


def test_too_many_broken_files_end_it_early(pictures: Pictures, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(stream, "CPU_BATCH", 1)
    store = FeatureStore(tmp_path / "store")
    stream.embed(pictures, store, max_broken=0, devices=0)
    assert len(store.outcomes()) == 7  # up to number 6


def test_a_file_that_changed_meanwhile_is_looked_at_again(pictures: Pictures) -> None:
    changed = Pictures(pictures.paths, ["0" * 64] * N, pictures.roots, pictures.encoder)
    batch = changed.__getitems__([0])
    assert (batch.files[0].status, batch.files[0].error, len(batch.pixels)) == ("broken", CHANGED, 0)
