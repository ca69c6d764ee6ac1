"""ResNet152's weights: found, verified, refused; and its 2048 features. The pictures of the catalogue encoder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.embeddings import encoders
from jobs.platform.errors import JobError
from lightning_modules.catalogue_encoder import HEIGHT, WIDTH
from tests.jobs.embeddings import drawn

CONTENT = b"weights"
NAME = f"resnet152-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"
URL = f"https://example.org/models/{NAME}"


def test_local_file_is_verified_by_its_name(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    assert encoders.weight_file(URL, tmp_path) == tmp_path / NAME
    (tmp_path / NAME).write_bytes(b"other")
    with pytest.raises(JobError, match="damaged or not torchvision's: its SHA-256 starts with"):
        encoders.weight_file(URL, tmp_path)


def test_missing_local_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=rf"{NAME}: no such file; .*--weights-dir, or use --encoder catalogue"):
        encoders.weight_file(URL, tmp_path)


def test_hub_out_of_reach_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(JobError, match=rf"{NAME} cannot be downloaded .*no route.*--weights-dir.*--encoder catalogue"):
        encoders.weight_file(URL, None)
    assert list(tmp_path.rglob("*.pth")) == []


def test_hub_cache_is_verified_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / NAME
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert encoders.weight_file(URL, None) == cached
    cached.write_bytes(b"half of it")
    with pytest.raises(JobError, match="damaged"):
        encoders.weight_file(URL, None)


def test_job_without_weights_publishes_nothing(tmp_path: Path) -> None:
    drawn.publish_articles(tmp_path, range(3))
    for i in range(3):
        drawn.draw(tmp_path, i)
    (tmp_path / "empty").mkdir()
    with pytest.raises(JobError, match=r"resnet152-f82ba261\.pth: no such file"):
        drawn.run(tmp_path, encoder="resnet152", weights_dir=tmp_path / "empty")
    assert not (tmp_path / "warehouse" / "gold").exists()


@pytest.mark.slow
def test_resnet152_from_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole path on weights of the right shape; their values do not matter here."""
    from torchvision.models import resnet152

    torch.manual_seed(0)
    network = resnet152()
    saved = tmp_path / "new.pth"
    torch.save(network.state_dict(), saved)
    name = f"resnet152-{hashlib.sha256(saved.read_bytes()).hexdigest()[:8]}.pth"
    saved.rename(tmp_path / name)
    real = encoders.resnet_weights()
    fake = SimpleNamespace(url=f"https://example.org/{name}", transforms=real.transforms)
    monkeypatch.setattr(encoders, "resnet_weights", lambda: fake)

    encoder = encoders.resnet152(tmp_path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 240, 3), dtype=np.uint8))
    prepared = encoder.prepare(picture)
    assert np.array_equal(prepared, real.transforms()(picture).numpy())
    features = encoder.features([prepared])
    assert features.shape == (1, 2048)
    with torch.inference_mode():
        by_hand = torch.nn.Sequential(*list(network.eval().children())[:-1])(torch.from_numpy(prepared)[None])
    assert features[0] == pytest.approx(by_hand.flatten().numpy(), rel=1e-3, abs=1e-4)

    drawn.publish_articles(tmp_path, range(3))
    for i in range(3):
        drawn.draw(tmp_path, i)
    summary = drawn.run(tmp_path, encoder="resnet152", weights_dir=tmp_path)
    assert "PCA 2048 to 2 keeps" in summary and "encoder resnet152-imagenet1k_v2-" in summary
    drawn.draw(tmp_path, 0, colour="Blue")
    assert "1 newly embedded" in drawn.run(tmp_path, encoder="resnet152", weights_dir=tmp_path)


def test_wrong_weights_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    fake = SimpleNamespace(url=URL, transforms=encoders.resnet_weights().transforms)
    monkeypatch.setattr(encoders, "resnet_weights", lambda: fake)
    with pytest.raises(JobError, match=f"{NAME}: no ResNet152 weights"):
        encoders.resnet152(tmp_path)


def test_catalogue_pictures_are_whole_on_white() -> None:
    wide = encoders.prepare_catalogue(Image.new("RGB", (100, 50), (10, 20, 30)))
    assert wide.shape == (3, HEIGHT, WIDTH) and wide.dtype == np.uint8
    assert wide[:, HEIGHT // 2, WIDTH // 2].tolist() == [10, 20, 30]
    assert wide[:, 0, 0].tolist() == [255, 255, 255]
    portrait = encoders.prepare_catalogue(Image.new("RGB", (1166, 1750), (10, 20, 30)))
    assert (portrait == np.array([10, 20, 30])[:, None, None]).mean() > 0.97
