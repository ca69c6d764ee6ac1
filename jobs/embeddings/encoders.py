"""The image encoders behind one interface: how a picture is prepared, and the network that turns it into features.

resnet152 follows "Two-Stage Two-Tower" (step 1): ImageNet weights, no classifier, average-pooled 2048 features.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from jobs.embeddings.kinds import KINDS
from jobs.platform.errors import JobError
from lightning_modules.autoencoder import SIZE, AutoencoderEncoder
from lightning_modules.catalogue_encoder import HEIGHT, WIDTH, CatalogueEncoder

INSTEAD = "or use --encoder efficientnet_lite0, whose weights are installed"
#: torchvision's networks: their weights, and the name of the classifier that is left out (the features are its input).
TORCHVISION = {
    "resnet152": ("ResNet152_Weights.IMAGENET1K_V2", "fc"),
    "resnet50": ("ResNet50_Weights.IMAGENET1K_V2", "fc"),
    "mobilenet_v2": ("MobileNet_V2_Weights.IMAGENET1K_V2", "classifier"),
}
#: Fashion-CLIP as published on the Hugging Face hub; its files in a folder of this name below --weights-dir do as well.
FASHION_CLIP = "Marqo/marqo-fashionCLIP"
#: Those of its files that are needed: what the network and its transforms are, and the weights.
CLIP_FILES = ("open_clip_config.json", "open_clip_model.safetensors")

Prepare = Callable[[Image.Image], np.ndarray]


@dataclass(frozen=True)
class Encoder:
    """Preparation and network of one kind of encoder; all of it can be sent to another process.

    Attributes:
        kind: what its vectors are made by, one of kinds.KINDS.
        network: uint8 images [n, 3, *size] -> features [n, d], in evaluation mode; normalises by itself.
        prepare: a picture -> uint8 [*size, 3].
        size: height and width of a prepared picture.
        at_least: a JPEG is decoded no smaller than this (width, height).
        weights: SHA-256 of what the network was loaded from, or of its tensors.
        components: PCA keeps no more of them; None: as many as it finds.
        joined: so many features are of the garment, the others of its colour (jobs.embeddings.joining); 0: all are one.
        is_pixels: the features are those of a grey picture of that size, and so are PCA's components.
    """

    kind: str
    network: nn.Module
    prepare: Prepare
    size: tuple[int, int]
    at_least: tuple[int, int]
    weights: str
    components: int | None = None
    joined: int = 0
    is_pixels: bool = False


class Normalised(nn.Module):
    """A network behind its own normalisation: uint8 images, scaled to 0..1, minus `mean`, divided by `std`."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.network((images.float() / 255 - self.mean) / self.std)


def open_encoder(name: str, weights_dir: Path | None) -> Encoder:
    """The encoder of that name (Settings.encoder) with its weights; the catalogue's own networks are not trained yet.

    Raises JobError when the weights cannot be had.
    """
    return _OPEN[name](weights_dir)


# ---- the catalogue's own


def whole_on_white(
    image: Image.Image, size: tuple[int, int], by: Image.Resampling = Image.Resampling.BILINEAR
) -> np.ndarray:
    """The whole picture on a white canvas, as uint8 [*size, 3]."""
    return np.asarray(ImageOps.pad(image, size[::-1], by, color="white"))


def _of(name: str, network: nn.Module, size: tuple[int, int]) -> Encoder:
    height, width = size
    # Twice the canvas: a scaled JPEG then loses nothing that the resize would have kept.
    prepare, at_least = partial(whole_on_white, size=size), (2 * width, 2 * height)
    return with_network(Encoder(KINDS[name], network, prepare, size, at_least, ""), network)


def with_network(encoder: Encoder, network: nn.Module) -> Encoder:
    """The encoder with another network of its kind."""
    return replace(encoder, network=network.eval(), weights=tensors_checksum(network.state_dict()))


def catalogue(network: nn.Module) -> Encoder:
    """The encoder trained by `jobs.embeddings.catalogue`."""
    return _of("catalogue", network, (HEIGHT, WIDTH))


def autoencoder(network: nn.Module) -> Encoder:
    """The encoder trained by `jobs.embeddings.autoencoder`."""
    return _of("autoencoder", network, (SIZE, SIZE))


#: The portrait that Eigenfaces are made of, height x width, and how many of them "Product Recommendation System with
#: Deep Learning" keeps.
EIGENFACE_SIZE, EIGENFACES = (48, 32), 30


class Grey(nn.Module):
    """uint8 images [n, 3, h, w] -> their luminance (ITU-R BT.601) from 0 to 1, pixel by pixel, [n, h * w]."""

    def forward(self, images: Tensor) -> Tensor:
        red, green, blue = (images.float() / 255).unbind(1)
        return (0.299 * red + 0.587 * green + 0.114 * blue).flatten(1)


def eigenfaces() -> Encoder:
    """Grey pixels; PCA, which every encoder has, makes them coefficients of Eigenfaces."""
    return replace(_of("eigenfaces", Grey(), EIGENFACE_SIZE), components=EIGENFACES, is_pixels=True)


# ---- torchvision's


def torchvision_weights(name: str) -> Any:
    from torchvision.models import get_weight

    return get_weight(TORCHVISION[name][0])


def torchvision_encoder(name: str, weights_dir: Path | None) -> Encoder:
    """A torchvision network with ImageNet weights and their own transforms, average-pooled, without its classifier.

    Raises JobError when the weights cannot be had or are not what their name says.
    """
    from torchvision.models import get_model

    weights = torchvision_weights(name)
    file, checksum = weight_file(weights.url, weights_dir)
    with torch.device("meta"):  # no memory, no random numbers: every weight is the file's
        network = get_model(name)
    try:
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True), assign=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise JobError(f"{file}: no weights of {name} ({str(error).splitlines()[0]})") from error
    setattr(network, TORCHVISION[name][1], nn.Identity())
    transforms = weights.transforms()
    (resize,), (crop,) = transforms.resize_size, transforms.crop_size
    prepare = partial(resize_and_crop, resize=resize, crop=crop, interpolation=transforms.interpolation)
    whole = Normalised(network, transforms.mean, transforms.std).eval()
    return Encoder(KINDS[name], whole, prepare, (crop, crop), (2 * resize, 2 * resize), checksum)


def resize_and_crop(image: Image.Image, resize: int, crop: int, interpolation: Any) -> np.ndarray:
    """The first half of torchvision's ImageClassification transforms, before pixels become floats."""
    from torchvision.transforms import functional as F

    return np.asarray(F.center_crop(F.resize(image, [resize], interpolation), [crop]))


def weight_file(url: str, weights_dir: Path | None) -> tuple[Path, str]:
    """The weight file of that address in `weights_dir`, else in torch's hub cache, downloaded where it is not there.

    The file keeps the name torchvision gives it, `resnet152-<first hex digits of its SHA-256>.pth`, and its content is
    checked against it, wherever it came from. Returns the file and its SHA-256. Raises JobError when it is missing, out
    of reach or different.
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
    return file, found


# ---- Fashion-CLIP


class ImageTower(nn.Module):
    """The image side of a CLIP model: images [n, 3, h, w] -> features [n, d] of length 1."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.visual: Callable[[Tensor], Tensor] = model.visual  # type: ignore[assignment]

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.visual(images), dim=-1)


def fashion_clip(weights_dir: Path | None) -> Encoder:
    """Fashion-CLIP's image encoder, loaded by open_clip, with the transforms that its own configuration names.

    Raises JobError when the weights cannot be had.
    """
    import open_clip
    from safetensors import SafetensorError

    name = f"local-dir:{_clip_folder(weights_dir)}" if weights_dir else f"hf-hub:{FASHION_CLIP}"
    try:
        model, transform = open_clip.create_model_from_pretrained(name)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError, SafetensorError) as error:
        raise JobError(
            f"{name} cannot be loaded ({str(error).strip().splitlines()[0]}); "
            f"put the files of {FASHION_CLIP} into a folder of that name below --weights-dir, {INSTEAD}"
        ) from error
    tower = ImageTower(model)
    *pictures, _, normalise = transform.transforms  # the last two: ToTensor, Normalize
    height, width = model.visual.image_size
    network = Normalised(tower, list(normalise.mean), list(normalise.std)).eval()
    checksum = tensors_checksum(tower.state_dict())
    prepare = partial(apply_all, steps=tuple(pictures))
    return Encoder(KINDS["fashion_clip"], network, prepare, (height, width), (2 * width, 2 * height), checksum)


def _clip_folder(weights_dir: Path) -> Path:
    """The folder below `weights_dir` with the hub's files; JobError when one of them is missing."""
    folder = weights_dir / Path(FASHION_CLIP).name
    missing = [file for file in CLIP_FILES if not (folder / file).is_file()]
    if missing:
        raise JobError(f"{folder / missing[0]}: no such file; put the files of {FASHION_CLIP} there, {INSTEAD}")
    return folder


def apply_all(image: Image.Image, steps: tuple[Callable[[Image.Image], Image.Image], ...]) -> np.ndarray:
    """A picture after one step after the other."""
    for step in steps:
        image = step(image)
    return np.asarray(image)


def tensors_checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors' values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _of_module(name: str) -> Callable[..., Any]:
    """A function of a module of this package, imported when it is called: each takes seconds."""
    module, function = name.split(":")
    return lambda *given: getattr(import_module(f"jobs.embeddings.{module}"), function)(*given)


_OPEN: dict[str, Callable[[Path | None], Encoder]] = {
    "efficientnet_lite0": lambda _: _of_module("efficientnet:efficientnet_lite0")(),
    "efficientnet_lite0_colour": lambda _: _of_module("efficientnet:efficientnet_lite0_colour")(),
    **{name: partial(torchvision_encoder, name) for name in TORCHVISION},
    "fashion_clip": fashion_clip,
    "align": _of_module("align:align"),
    "catalogue": lambda _: catalogue(CatalogueEncoder()),
    "catalogue_lite0": lambda _: _of_module("efficientnet:catalogue_lite0")(),
    "autoencoder": lambda _: autoencoder(AutoencoderEncoder()),
    "eigenfaces": lambda _: eigenfaces(),
}
