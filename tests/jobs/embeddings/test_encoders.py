"""Weights: found, verified, refused; torchvision's features; the pictures of the catalogue encoder."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import get_model

from jobs.embeddings import encoder_fitting, encoders, kinds
from jobs.embeddings.stream import features_of
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from lightning_modules.catalogue_encoder import HEIGHT, WIDTH
from tests.jobs.embeddings import drawn

CONTENT = b"weights"
SHA = hashlib.sha256(CONTENT).hexdigest()
NAME = f"resnet152-{SHA[:8]}.pth"
URL = f"https://example.org/models/{NAME}"


def test_local_file_is_verified_by_its_name(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    assert encoders.weight_file(URL, tmp_path) == (tmp_path / NAME, SHA)
    (tmp_path / NAME).write_bytes(b"other")
    with pytest.raises(JobError, match="damaged or not torchvision's: its SHA-256 starts with"):
        encoders.weight_file(URL, tmp_path)


def test_missing_local_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=rf"{NAME}: no such file; .*--weights-dir, or use --encoder efficientnet_lite0"):
        encoders.weight_file(URL, tmp_path)


def test_hub_out_of_reach_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(JobError, match=rf"{NAME} cannot be downloaded .*no route.*--weights-dir.*--encoder eff"):
        encoders.weight_file(URL, None)
    assert list(tmp_path.rglob("*.pth")) == []


def test_hub_cache_is_verified_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / NAME
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert encoders.weight_file(URL, None) == (cached, SHA)
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


def local_weights(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """Weights of the right shape in the folder, by torchvision's way of naming; their values do not matter here."""
    torch.manual_seed(0)
    network = get_model(name)
    saved = folder / "new.pth"
    torch.save(network.state_dict(), saved)
    file = f"{name}-{hashlib.sha256(saved.read_bytes()).hexdigest()[:8]}.pth"
    saved.rename(folder / file)
    fake = SimpleNamespace(url=f"https://example.org/{file}", transforms=encoders.torchvision_weights(name).transforms)
    monkeypatch.setattr(encoders, "torchvision_weights", lambda _: fake)
    return network


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dimensions"), [("resnet152", 2048), ("resnet50", 2048), ("mobilenet_v2", 1280)])
def test_torchvision_encoders_are_the_network_without_classifier_on_its_own_transforms(
    name: str, dimensions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = local_weights(name, tmp_path, monkeypatch)
    transforms = encoders.torchvision_weights(name).transforms()
    encoder = encoders.open_encoder(name, tmp_path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 240, 3), dtype=np.uint8))
    features = features_of(encoder, torch.from_numpy(encoder.prepare(picture).copy())[None])
    assert features.shape == (1, dimensions)
    setattr(network, encoders.TORCHVISION[name][1], torch.nn.Identity())
    with torch.inference_mode():
        expected = network.eval()(transforms(picture)[None])
    scale = float(expected.abs().max())  # of random weights: far from 1
    assert (features / scale).numpy() == pytest.approx((expected / scale).numpy(), rel=1e-2, abs=1e-3)


@pytest.mark.slow
def test_the_job_with_a_torchvision_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local_weights("mobilenet_v2", tmp_path, monkeypatch)
    drawn.publish_articles(tmp_path, range(3))
    for i in range(3):
        drawn.draw(tmp_path, i)
    options = {"encoder": "mobilenet_v2", "weights_dir": tmp_path}
    summary = drawn.run(tmp_path, **options)
    assert "PCA 1280 to 2 keeps" in summary and "encoder mobilenet_v2-imagenet1k_v2-" in summary
    drawn.draw(tmp_path, 0, colour="Blue")
    assert "1 newly embedded" in drawn.run(tmp_path, **options)
    drawn.draw(tmp_path, 0, colour="Green")
    encoder = replace(encoders.open_encoder("mobilenet_v2", tmp_path), weights="0" * 64)
    monkeypatch.setattr(encoders, "open_encoder", lambda *_: encoder)
    with pytest.raises(JobError, match=r"weights' SHA-256 is 00000000\.\.\., but version 1 of mobilenet_v2_encoder"):
        drawn.run(tmp_path, **options)


def test_wrong_weights_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    fake = SimpleNamespace(url=URL)
    monkeypatch.setattr(encoders, "torchvision_weights", lambda _: fake)
    with pytest.raises(JobError, match=f"{NAME}: no weights of resnet152"):
        encoders.open_encoder("resnet152", tmp_path)


CLIP_CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25], "resize_mode": "squash"},
}


@pytest.fixture
def clip_weights(tmp_path: Path) -> Path:
    """A tiny CLIP with random weights, in files as on the hub, below the folder that is returned."""
    folder = tmp_path / "marqo-fashionCLIP"
    folder.mkdir()
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**CLIP_CONFIG["model_cfg"]).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(CLIP_CONFIG))
    return tmp_path


def test_fashion_clip_is_its_image_tower_on_its_own_transforms(clip_weights: Path) -> None:
    encoder = pickle.loads(pickle.dumps(encoders.open_encoder("fashion_clip", clip_weights)))  # as to other processes
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{clip_weights / 'marqo-fashionCLIP'}")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8))
    features = features_of(encoder, torch.from_numpy(encoder.prepare(picture).copy())[None])
    with torch.inference_mode():
        expected = model.encode_image(transform(picture)[None], normalize=True)
    assert features.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert features.shape == (1, 16) and encoder.size == (32, 32)
    assert transform.transforms[-1].mean == [0.4, 0.5, 0.6]  # the configuration's, not OpenAI's


def test_the_job_with_fashion_clip(clip_weights: Path, tmp_path: Path) -> None:
    drawn.publish_articles(tmp_path, range(4))
    for i in range(4):
        drawn.draw(tmp_path, i)
    summary = drawn.run(tmp_path, encoder="fashion_clip", weights_dir=clip_weights)
    assert "4 newly embedded; PCA 16 to 3 keeps 100.0%" in summary and "encoder marqo-fashionclip-" in summary


@pytest.mark.parametrize("file", encoders.CLIP_FILES)
def test_fashion_clip_without_a_file_is_one_clear_line(clip_weights: Path, file: str) -> None:
    (clip_weights / "marqo-fashionCLIP" / file).unlink()
    with pytest.raises(JobError, match=rf"marqo-fashionCLIP/{file}: no such file; .* or use --encoder eff"):
        encoders.open_encoder("fashion_clip", clip_weights)


@pytest.mark.parametrize("file", encoders.CLIP_FILES)
def test_damaged_fashion_clip_is_one_clear_line(clip_weights: Path, file: str) -> None:
    damaged = clip_weights / "marqo-fashionCLIP" / file
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(JobError, match=r"marqo-fashionCLIP cannot be loaded \(.*below --weights-dir") as caught:
        encoders.open_encoder("fashion_clip", clip_weights)
    assert "\n" not in str(caught.value)


def test_other_weights_are_no_fashion_clip(clip_weights: Path) -> None:
    save_file({"weight": torch.zeros(2)}, clip_weights / "marqo-fashionCLIP" / "open_clip_model.safetensors")
    with pytest.raises(JobError, match="cannot be loaded") as caught:
        encoders.open_encoder("fashion_clip", clip_weights)
    assert "\n" not in str(caught.value)


def test_fashion_clip_out_of_reach_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(JobError, match=r"hf-hub:Marqo/marqo-fashionCLIP cannot be loaded .*--weights-dir"):
        encoders.open_encoder("fashion_clip", None)


def test_catalogue_pictures_are_whole_on_white() -> None:
    wide = encoders.whole_on_white(Image.new("RGB", (100, 50), (10, 20, 30)), (HEIGHT, WIDTH))
    assert wide.shape == (HEIGHT, WIDTH, 3) and wide.dtype == np.uint8
    assert wide[HEIGHT // 2, WIDTH // 2].tolist() == [10, 20, 30]
    assert wide[0, 0].tolist() == [255, 255, 255]
    portrait = encoders.whole_on_white(Image.new("RGB", (1166, 1750), (10, 20, 30)), (HEIGHT, WIDTH))
    assert (portrait == np.array([10, 20, 30])).mean() > 0.97


def test_every_setting_has_a_kind_and_can_be_opened() -> None:
    settings = set(Settings.model_fields["encoder"].annotation.__args__)
    assert settings == set(kinds.KINDS) == set(encoders._OPEN)
    assert set(encoder_fitting.TRAINED) < settings
    for name in {*encoder_fitting.TRAINED, "eigenfaces"}:
        encoder = encoders.open_encoder(name, None)
        assert encoder.kind == kinds.KINDS[name] and len(encoder.weights) == 64
        pixels = torch.zeros((2, *encoder.size, 3), dtype=torch.uint8)
        assert features_of(encoder, pixels).shape[0] == 2
        assert encoder.prepare(Image.new("RGB", (30, 40))).shape == (*encoder.size, 3)
