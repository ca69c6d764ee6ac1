"""The image encoders: how a picture is prepared, and the network that turns it into features.

resnet152 follows "Two-Stage Two-Tower" (step 1): ImageNet weights, no classifier, average-pooled 2048 features.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

from jobs.platform.errors import JobError
from lightning_modules.catalogue_encoder import HEIGHT, WIDTH

INSTEAD = "or use --encoder catalogue, which is trained on the catalogue itself"


@dataclass(frozen=True)
class Encoder:
    """Preparation and network of one kind of encoder.

    `prepare` makes a picture an array [3, h, w]; a JPEG is decoded no smaller than `at_least` (width, height);
    `network` makes a batch [n, 3, h, w] features [n, d]; `weights` names what it was loaded from.
    """

    network: nn.Module
    prepare: Callable[[Image.Image], np.ndarray]
    at_least: tuple[int, int]
    weights: str

    def features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Features float32 [n, d] of prepared images, on a GPU (bfloat16) when there is one."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = self.network.eval().to(device).to(memory_format=torch.channels_last)
        batch = torch.from_numpy(np.stack(images)).to(device, memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            return network(batch).float().cpu().numpy()


def prepare_catalogue(image: Image.Image) -> np.ndarray:
    """The whole picture on a white HEIGHT x WIDTH canvas, as uint8 [3, HEIGHT, WIDTH]."""
    canvas = ImageOps.pad(image, (WIDTH, HEIGHT), Image.Resampling.BILINEAR, color="white")
    return np.ascontiguousarray(np.moveaxis(np.asarray(canvas), -1, 0))


#: Twice the canvas: a scaled JPEG then loses nothing that the resize would have kept.
CATALOGUE_AT_LEAST = (2 * WIDTH, 2 * HEIGHT)


def catalogue(network: nn.Module) -> Encoder:
    """The encoder trained by `jobs.embeddings.catalogue`."""
    return Encoder(network, prepare_catalogue, CATALOGUE_AT_LEAST, tensors_checksum(network.state_dict()))


def resnet_weights() -> Any:
    from torchvision.models import ResNet152_Weights

    return ResNet152_Weights.IMAGENET1K_V2


def resnet152(weights_dir: Path | None) -> Encoder:
    """torchvision's ResNet152 with ImageNet weights and their own transforms, average-pooled to 2048 features.

    Raises JobError when the weights cannot be had or are not what their name says.
    """
    from torchvision.models import resnet152 as build

    weights = resnet_weights()
    file = weight_file(weights.url, weights_dir)
    with torch.device("meta"):  # no memory, no random numbers: every weight is the file's
        network = build()
    try:
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True), assign=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise JobError(f"{file}: no ResNet152 weights ({str(error).splitlines()[0]})") from error
    network.fc = nn.Identity()  # type: ignore[assignment]
    transforms = weights.transforms()
    smallest = 2 * transforms.resize_size[0]
    return Encoder(network, lambda image: transforms(image).numpy(), (smallest, smallest), file.name)


def weight_file(url: str, weights_dir: Path | None) -> Path:
    """The weight file of that address in `weights_dir`, else in torch's hub cache, downloaded where it is not there.

    The file keeps the name torchvision gives it, `resnet152-<first hex digits of its SHA-256>.pth`, and its content is
    checked against it, wherever it came from. Raises JobError when it is missing, out of reach or different.
    """
    name = Path(urlsplit(url).path).name
    expected = Path(name).stem.rsplit("-", 1)[1]
    file = (weights_dir or Path(torch.hub.get_dir()) / "checkpoints") / name
    if not file.is_file():
        if weights_dir:
            raise JobError(f"{file}: no such file; put torchvision's {name} into --weights-dir, {INSTEAD}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), expected, progress=sys.stderr.isatty())
        except (OSError, HTTPException, RuntimeError) as error:
            raise JobError(
                f"{name} cannot be downloaded from {url} ({error}); download it elsewhere and point --weights-dir "
                f"to its folder, {INSTEAD}"
            ) from error
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(expected):
        raise JobError(
            f"{file}: damaged or not torchvision's: its SHA-256 starts with {found[: len(expected)]}, not {expected}; "
            f"replace it, {INSTEAD}"
        )
    return file


def tensors_checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of named tensors' values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
