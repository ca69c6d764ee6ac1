"""One contestant of benchmarks.embeddings in a process of its own.

python -m benchmarks.embeddings_contestants prepare ENCODER WORK IMAGES WIDTH HEIGHT WEIGHTS
python -m benchmarks.embeddings_contestants rounds|decoding ENCODER WORK WEIGHTS RESULT
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torchvision.models import get_model

from jobs.embeddings import encoders, stream
from jobs.embeddings.decode import CPUS, inspect_all
from jobs.embeddings.encoders import Encoder
from jobs.embeddings.feature_store import FeatureStore
from jobs.embeddings.stream import CPU_BATCH, GPU_BATCH, Pictures, features_of

ROUNDS = 5


def prepare(encoder: str, work: Path, images: int, width: int, height: int, weights: Path) -> None:
    """Draw the JPEGs, each different, and give torchvision's encoder random weights where there are none."""
    rng = np.random.default_rng(0)
    (work / "images").mkdir()
    grain = rng.normal(0, 6, (height, width, 3))
    ramp = np.linspace(60, 200, height)[:, None, None]
    for i in range(images):
        shade = np.roll(ramp + grain, int(rng.integers(height)), axis=0) + rng.integers(-40, 40, 3)
        picture = Image.fromarray(shade.clip(0, 255).astype(np.uint8))
        picture.save(work / "images" / f"{i:06d}.jpg", quality=90)
    if encoder in encoders.TORCHVISION and not weights.exists():
        weights.mkdir()
        torch.save(get_model(encoder).state_dict(), weights / "new")
        checksum = hashlib.sha256((weights / "new").read_bytes()).hexdigest()
        (weights / "new").rename(weights / f"{encoder}-{checksum[:8]}.pth")


def opened(encoder: str, folder: Path) -> Encoder:
    """The job's encoder; torchvision's with the weights of that folder, whose file's name has its checksum."""
    if encoder not in encoders.TORCHVISION:
        return encoders.open_encoder(encoder, None)
    (file,) = folder.glob(f"{encoder}-*.pth")
    weights_here = SimpleNamespace(url=file.as_uri(), transforms=encoders.torchvision_weights(encoder).transforms)
    encoders.torchvision_weights = lambda _: weights_here
    return encoders.open_encoder(encoder, folder)


def pictures(encoder: Encoder, work: Path) -> Pictures:
    """All drawn JPEGs; reading them once for their checksums leaves them in memory."""
    root = (work / "images").resolve()
    paths = sorted(root.iterdir())
    return Pictures(paths, [file.checksum for file in inspect_all(paths, [root])], [root], encoder)


def rounds(encoder: Encoder, work: Path) -> dict[str, object]:
    """Seconds of bare encoder and job on all images, in turns, so that a machine that is slower for a while is so for
    both. The job's are from files to kept features: read for their checksums, read again, decoded, embedded, kept.
    """
    images = len(list((work / "images").iterdir()))
    pixels = torch.randint(0, 256, (GPU_BATCH, *encoder.size, 3), dtype=torch.uint8)
    if torch.cuda.is_available():
        ways = {f"batches of {n}": partial(_on_gpu, encoder, pixels[:n], images) for n in (64, 128, GPU_BATCH)}
    else:
        encoder.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        ways = {f"{CPUS} threads on batches of {n}": partial(_on_threads, encoder, pixels[:n], images) for n in (4, 8)}
        ways[f"a thread on a core, batches of {CPU_BATCH}"] = partial(_on_cores, encoder, pixels[:CPU_BATCH], images)
    tried = {name: way() for name, way in ways.items()}
    fastest = ways[min(tried, key=lambda name: tried[name])]
    bare, job = [], []
    for n in range(ROUNDS):
        bare.append(fastest())
        begun = time.perf_counter()
        stream.embed(pictures(encoder, work), FeatureStore(work / f"store {n}"), 0)
        job.append(time.perf_counter() - begun)
    said = "; ".join(f"{name}: {images / seconds:,.1f}" for name, seconds in tried.items())
    return {"bare": bare, "job": job, "ways": said}


def _on_gpu(encoder: Encoder, pixels: torch.Tensor, images: int) -> float:
    pixels = pixels.cuda()
    encoder.network.to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
    for _ in range(3):
        features_of(encoder, pixels)
    torch.cuda.synchronize()
    begun = time.perf_counter()
    batches = max(images // len(pixels), 10)
    for _ in range(batches):
        features_of(encoder, pixels)
    torch.cuda.synchronize()
    return (time.perf_counter() - begun) / (batches * len(pixels)) * images


def _on_threads(encoder: Encoder, pixels: torch.Tensor, images: int) -> float:
    torch.set_num_threads(CPUS)
    features_of(encoder, pixels)
    begun = time.perf_counter()
    for _ in range(images // len(pixels)):
        features_of(encoder, pixels)
    return (time.perf_counter() - begun) / (images // len(pixels) * len(pixels)) * images


def _on_cores(encoder: Encoder, pixels: torch.Tensor, images: int) -> float:
    with ThreadPoolExecutor(CPUS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(lambda _: features_of(encoder, pixels), range(CPUS)))
        begun = time.perf_counter()
        list(pool.map(lambda _: features_of(encoder, pixels), range(images // len(pixels))))
        return (time.perf_counter() - begun) / (images // len(pixels) * len(pixels)) * images


def decoding(encoder: Encoder, work: Path) -> dict[str, object]:
    """Files to prepared pictures on all cores, without a network."""
    some = pictures(encoder, work)
    starts = [*range(0, len(some), CPU_BATCH), len(some)]
    with ThreadPoolExecutor(CPUS) as pool:
        list(pool.map(some.__getitems__, [[0]] * CPUS))
        begun = time.perf_counter()
        list(pool.map(some.__getitems__, [range(*pair) for pair in pairwise(starts)]))
        return {"seconds": time.perf_counter() - begun}


def main(what: str, encoder: str, work: str, *rest: str) -> None:
    if what == "prepare":
        prepare(encoder, Path(work), *map(int, rest[:3]), Path(rest[3]))
        return
    said = {"rounds": rounds, "decoding": decoding}[what](opened(encoder, Path(rest[0])), Path(work))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{CPUS} processor cores"
    Path(rest[1]).write_text(json.dumps({"device": device, **said}))
    print(what, said, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
