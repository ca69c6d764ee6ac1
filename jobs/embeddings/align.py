"""ALIGN's image tower ("Scaling Up Visual and Vision-Language Representation Learning With Noisy Text Supervision"),
through Hugging Face's own loader, from the hub or a local folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, nn

from jobs.embeddings.encoders import INSTEAD, Encoder, Normalised, tensors_checksum
from jobs.embeddings.kinds import KINDS
from jobs.platform.errors import JobError

#: ALIGN on the Hugging Face hub; its files in a folder of this name below --weights-dir do as well.
ALIGN = "kakaobrain/align-base"


class ImageTower(nn.Module):
    """Images [n, 3, h, w] -> features [n, d] of length 1."""

    def __init__(self, vision: nn.Module) -> None:
        super().__init__()
        self.vision = vision

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.vision(pixel_values=images).pooler_output, dim=-1)


def align(weights_dir: Path | None) -> Encoder:
    """The image tower with the transforms that its own configuration names.

    Raises JobError when model, weights or configuration cannot be had, or a tensor is missing.
    """
    from safetensors import SafetensorError
    from transformers import AlignModel, AutoImageProcessor

    name = ALIGN if weights_dir is None else str(weights_dir / Path(ALIGN).name)
    advice = f"put the files of {ALIGN} into a folder of that name below --weights-dir, {INSTEAD}"
    if weights_dir is not None and not Path(name).is_dir():
        raise JobError(f"{name}: no such folder; {advice}")
    try:
        processor = AutoImageProcessor.from_pretrained(name)
        found: Any = AlignModel.from_pretrained(name, output_loading_info=True)
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError, SafetensorError) as error:
        raise JobError(f"{name} cannot be loaded ({str(error).strip().splitlines()[0]}); {advice}") from error
    model, loaded = found
    if missing := sorted(loaded["missing_keys"]):  # the loader would draw them at random
        raise JobError(f"{name}: {len(missing)} tensors are missing, such as {missing[0]}; {advice}")
    tower = ImageTower(model.vision_model)
    prepare, size = _preparation(processor)
    network = Normalised(tower, *_normalisation(processor)).eval()
    at_least = (processor.size["width"], processor.size["height"])
    return Encoder(KINDS["align"], network, prepare, size, at_least, tensors_checksum(tower.state_dict()))


def _preparation(processor: Any) -> tuple[Any, tuple[int, int]]:
    """What is done to a picture before its pixels become floats, and the height and width it then has."""
    resized = processor.size["height"], processor.size["width"]
    size = (processor.crop_size["height"], processor.crop_size["width"]) if processor.do_center_crop else resized
    return partial(resize_and_crop, resized=resized, size=size, by=int(processor.resample)), size


def resize_and_crop(image: Image.Image, resized: tuple[int, int], size: tuple[int, int], by: int) -> np.ndarray:
    """The picture at a height and width, and of that the middle, uint8 [*size, 3]."""
    (height, width), (top, left) = size, ((resized[i] - size[i]) // 2 for i in (0, 1))
    pixels = np.asarray(image.resize(resized[::-1], Image.Resampling(by)))
    return pixels[top : top + height, left : left + width]


def _normalisation(processor: Any) -> tuple[list[float], list[float]]:
    """The processor's scaling, offset and normalisation as one mean and deviation of pixels from 0 to 1."""
    mean, deviation = (processor.image_mean, processor.image_std) if processor.do_normalize else ([0.0] * 3, [1.0] * 3)
    offset, scale = float(processor.rescale_offset), 255 * processor.rescale_factor
    return [(offset + m) / scale for m in mean], [s / scale for s in deviation]
