"""ALIGN's image tower, on a tiny model with random weights in a local folder."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AlignConfig, AlignModel, EfficientNetImageProcessor

from jobs.embeddings import encoders
from jobs.embeddings.stream import features_of
from jobs.platform.errors import JobError
from tests.jobs.embeddings import drawn

VISION = {
    "image_size": 32,
    "width_coefficient": 0.25,
    "depth_coefficient": 0.1,
    "in_channels": [32, 16],
    "out_channels": [16, 24],
    "kernel_sizes": [3, 3],
    "strides": [1, 2],
    "num_block_repeats": [1, 1],
    "expand_ratios": [1, 6],
    "depthwise_padding": [],
    "hidden_dim": 64,
}
TEXT = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The folder that holds such a model's, in files as on the hub."""
    folder = tmp_path / "align-base"
    torch.manual_seed(0)
    AlignModel(AlignConfig(text_config=TEXT, vision_config=VISION, projection_dim=64)).save_pretrained(folder)
    EfficientNetImageProcessor(
        size={"height": 40, "width": 40},
        crop_size={"height": 32, "width": 32},
        do_center_crop=True,
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
        resample=2,
    ).save_pretrained(folder)
    return tmp_path


def test_it_is_the_image_tower_on_its_own_transforms(weights: Path) -> None:
    encoder = pickle.loads(pickle.dumps(encoders.open_encoder("align", weights)))  # as to other processes
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    features = features_of(encoder, torch.from_numpy(encoder.prepare(picture).copy())[None])
    model = AlignModel.from_pretrained(weights / "align-base").eval()
    processor = EfficientNetImageProcessor.from_pretrained(weights / "align-base")
    with torch.inference_mode():
        expected = model.get_image_features(**processor(picture, return_tensors="pt")).pooler_output
    expected = torch.nn.functional.normalize(expected, dim=-1)
    assert encoder.size == (32, 32) and features.shape == expected.shape
    assert features.numpy() == pytest.approx(expected.numpy(), abs=0.02)  # two resizes: Pillow's and torch's


def test_the_job_with_it(weights: Path, tmp_path: Path) -> None:
    drawn.publish_articles(tmp_path, range(4))
    for i in range(4):
        drawn.draw(tmp_path, i)
    summary = drawn.run(tmp_path, encoder="align", weights_dir=weights)
    assert "4 newly embedded" in summary and "encoder align-base-" in summary


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors", None])
def test_without_a_file_it_is_one_clear_line(weights: Path, file: str | None) -> None:
    if file:
        (weights / "align-base" / file).unlink()
    else:
        (weights / "align-base").rename(weights / "elsewhere")
    with pytest.raises(JobError, match=r"align-base.*kakaobrain/align-base.*--weights-dir.*--encoder eff") as caught:
        encoders.open_encoder("align", weights)
    assert "\n" not in str(caught.value)


def test_a_missing_tensor_is_not_drawn_at_random(weights: Path) -> None:
    file = weights / "align-base" / "model.safetensors"
    tensors = load_file(file)
    del tensors[next(name for name in tensors if name.startswith("vision_model"))]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(JobError, match=r"1 tensors are missing, such as vision_model"):
        encoders.open_encoder("align", weights)


def test_out_of_reach_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(JobError, match=r"kakaobrain/align-base cannot be loaded .*--weights-dir"):
        encoders.open_encoder("align", None)
