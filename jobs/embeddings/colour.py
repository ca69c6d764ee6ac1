"""Colours of the garment on a picture as a network: on any device, a whole batch at a time, and without weights.

The share of the garment's pixels near each of some colours of CIELAB, after Swain and Ballard's "Color Indexing" (3)
with soft bins; its square roots, whose products are Bhattacharyya's coefficient. A pale, even background that reaches
the border, as behind product photographs, is left out, or it would be the colour of everything (the constants are those
of jobs.features.image_descriptors, which draws exact outlines a picture at a time).
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.color import rgb2lab
from torch import Tensor, nn
from torch.nn import functional as F

#: Every so many pixels of 224 one is looked at.
STRIDE = 4
#: Bins are so far apart in CIELAB; pixels fall into those around by a normal of this deviation.
STEP, SOFTNESS = 20.0, 10.0
#: A background: at least this light, at most this far from grey, and most of the rim within SPREAD of it.
MIN_LIGHTNESS, MAX_CHROMA, SPREAD = 75.0, 12.0, 8.0
#: Garment is what differs by NOISE times the background's own noise, within these bounds.
NOISE, LEAST_CONTRAST, MOST_CONTRAST = 4.0, 1.5, 6.0
#: Around strong edges a JPEG rings, within a block of about so many pixels looked at, by this share of the edge.
BLOCK, RINGING = 4, 0.08
#: A smaller share of the picture is a speck, no garment.
MIN_GARMENT = 0.005


def bins() -> np.ndarray:
    """The bins' centres in CIELAB, float32 [k, 3]: points of a grid that some colour of sRGB is near."""
    levels = np.linspace(0, 1, 18)
    lab = rgb2lab(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3))
    offset = np.array([STEP / 2, 0, 0])  # black and white are half a step from the first and last
    return (np.unique(np.round((lab - offset) / STEP), axis=0) * STEP + offset).astype(np.float32)


class ColourHistogram(nn.Module):
    """uint8 images [n, 3, h, w] -> square roots of the garment's colour shares, float32 [n, k] of length 1."""

    bins: Tensor
    to_xyz: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bins", torch.from_numpy(bins()), persistent=False)
        # IEC 61966-2-1, each row divided by the white point D65.
        matrix = torch.tensor(
            [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
        )
        self.register_buffer("to_xyz", matrix / torch.tensor([[0.95047], [1.0], [1.08883]]), persistent=False)

    @property
    def size(self) -> int:
        return len(self.bins)

    @torch.autocast("cuda", enabled=False)
    def forward(self, images: Tensor) -> Tensor:
        rgb = images[:, :, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].float() / 255
        lab = self.lab(rgb)
        weight = garment(lab, rgb).flatten(1)[:, ::2].float()  # half of them give the same shares
        pixels = lab.flatten(2)[:, :, ::2].transpose(1, 2)
        # The squared distances to the bins but for what they share.
        closeness = torch.baddbmm(self.bins.square().sum(1), pixels, self.bins.T.expand(len(lab), -1, -1), beta=-0.5)
        near = torch.softmax(closeness / SOFTNESS**2, dim=2)
        shares = (weight[:, None] @ near)[:, 0] / weight.sum(1, keepdim=True).clamp(min=1)
        return shares.sqrt()

    def lab(self, rgb: Tensor) -> Tensor:
        """sRGB from 0 to 1, [n, 3, h, w], as CIELAB."""
        linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
        xyz = torch.einsum("ij,njhw->nihw", self.to_xyz, linear)
        x, y, z = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(1)
        return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def garment(lab: Tensor, rgb: Tensor) -> Tensor:
    """Mask [n, h, w] of the garment's pixels: all within the white margins where no plain background is found."""
    inside = within_margins(rgb)
    rim = inside & ~_eroded(inside, 2)
    distance, noise, is_plain = from_background(lab, rim)
    contrast = (NOISE * noise).clamp(LEAST_CONTRAST, MOST_CONTRAST)
    open_ = ~_eroded(_dilated(distance > contrast, 1), 1) | ~inside  # an outline of a white garment has gaps
    found = inside & ~_flooded(open_, (rim | ~inside) & open_)
    found = _without_ringing(found, distance)
    inner = _eroded(found, 1)  # at its edge its colour is mixed with the background's
    found = torch.where((_count(inner) > _count(found) / 4), inner, found)
    is_found = is_plain & (_count(found) >= MIN_GARMENT * found[0].numel())
    return torch.where(is_found, found, torch.where(_count(inside) > 0, inside, torch.ones_like(inside)))


def _without_ringing(found: Tensor, distance: Tensor) -> Tensor:
    """The garment less what is within BLOCK of the background and weak beside the strongest edge within BLOCK."""
    weak = distance < RINGING * F.max_pool2d(distance, 2 * BLOCK + 1, 1, BLOCK)
    outside = ~found
    for _ in range(BLOCK):
        outside |= _dilated(outside, 1) & weak
    return ~outside


def within_margins(rgb: Tensor) -> Tensor:
    """Mask [n, h, w] without the rows and columns of pure white along the four sides: padding, mostly."""
    white = (rgb >= 1).all(1)
    masks = []
    for along in (1, 2):
        line = white.all(along).int()
        masks.append(((line.cumprod(1) + line.flip(1).cumprod(1).flip(1)) == 0).unsqueeze(along))
    return masks[0] & masks[1]


def from_background(lab: Tensor, rim: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distances [n, h, w] from the background, its noise [n, 1, 1], and whether there is a plain one, [n, 1, 1].

    Light falls off over a studio's ground, so it is a plane through the colours of the rim.
    """
    n, _, h, w = lab.shape
    pixels, on_rim = lab.flatten(2).transpose(1, 2), rim.flatten(1)
    pale = on_rim & (pixels[..., 0] >= MIN_LIGHTNESS) & (pixels[..., 1:].norm(dim=2) <= MAX_CHROMA)
    middle = _median(pixels, pale)
    even = pale & ((pixels - middle).norm(dim=2) <= SPREAD)
    y, x = torch.meshgrid(*(torch.linspace(0, 1, size, device=lab.device) for size in (h, w)), indexing="ij")
    places = torch.stack([torch.ones_like(x), y, x], dim=-1).view(1, h * w, 3)
    weighted = places * even[..., None]
    ridge = 1e-3 * torch.eye(3, device=lab.device)
    plane = torch.linalg.solve(weighted.transpose(1, 2) @ places + ridge, weighted.transpose(1, 2) @ (pixels - middle))
    distance = (pixels - middle - places @ plane).norm(dim=2)
    noise = _median(distance[..., None], on_rim)[..., 0]
    is_plain = even.sum(1, keepdim=True) >= on_rim.sum(1, keepdim=True) / 2
    return distance.view(n, h, w), noise[..., None], is_plain[..., None]


def _median(values: Tensor, of: Tensor) -> Tensor:
    """Median [n, 1, d] over those of values [n, m, d] that a mask [n, m] names; 0 where it names none."""
    return values.masked_fill(~of[..., None], float("nan")).nanmedian(1, keepdim=True).values.nan_to_num()


def _dilated(mask: Tensor, by: int) -> Tensor:
    return F.max_pool2d(mask.float(), 2 * by + 1, 1, by) > 0


def _eroded(mask: Tensor, by: int) -> Tensor:
    """What lies deeper than `by` pixels in the mask; beyond the border there is none of it."""
    return ~_dilated(F.pad(~mask, [by] * 4, value=True), by)[..., by:-by, by:-by]


def _flooded(open_: Tensor, start: Tensor) -> Tensor:
    """What can be reached from `start` through the mask `open_`, from pixel to pixel."""
    reached, before = start, -1
    while (count := int(reached.sum())) != before:
        before = count
        for _ in range(8):
            reached = _dilated(reached, 1) & open_
    return reached


def _count(mask: Tensor) -> Tensor:
    return mask.sum((1, 2), keepdim=True)
