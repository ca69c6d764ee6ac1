"""From image files to features at the speed of the hardware, kept as they come.

On processors each core takes a few images at a time from file to features: no core waits for another, and few images
keep a network's intermediate results in cache. On a GPU processes decode whole batches ahead of it. Several GPUs
share the files out, each in a process of its own, started by Lightning Fabric.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from jobs.embeddings.decode import CPUS, ImageFile, Location, open_known, processes
from jobs.embeddings.encoders import Encoder
from jobs.embeddings.feature_store import FeatureStore
from jobs.platform.progress import ProgressReporter

#: Images a core takes at a time: twice as fast as 32 with ResNet50, whose results then leave the cache.
CPU_BATCH = 4
GPU_BATCH = 256
#: Features are kept after so many images or seconds: what a killed run loses at most.
KEEP_IMAGES, KEEP_SECONDS = 256, 30.0


class Batch(NamedTuple):
    """What became of some files, and the pixels uint8 [m, h, w, 3] of the m that are ok, in their order."""

    files: list[ImageFile]
    pixels: torch.Tensor


@dataclass(frozen=True)
class Pictures:
    """Image files to be prepared for an encoder; `checksums` are those found before. Can be sent to other processes."""

    paths: Sequence[Location]
    checksums: Sequence[str | None]
    roots: Sequence[Location]
    encoder: Encoder

    def __len__(self) -> int:
        return len(self.paths)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """Decode and prepare those files; the name is the one that torch's DataLoader asks whole batches by."""
        pixels = torch.empty((len(rows), *self.encoder.size, 3), dtype=torch.uint8)
        files: list[ImageFile] = []
        good = 0
        for row in rows:
            file, picture = self._prepared(row)
            files.append(file)
            if picture is not None:
                pixels[good] = torch.from_numpy(picture.copy())
                good += 1
        return Batch(files, pixels[:good])

    def decoded(self, rows: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """All pixels uint8 [m, h, w, 3] at once, decoded on all cores, and the m of `rows` that could be."""
        pixels = np.empty((len(rows), *self.encoder.size, 3), np.uint8)
        good: list[int] = []
        with ThreadPoolExecutor(CPUS) as pool, ProgressReporter(len(rows), "images decoded") as progress:
            for row, (_, picture) in zip(rows, pool.map(self._prepared, rows), strict=True):
                if picture is not None:
                    pixels[len(good)] = picture
                    good.append(row)
                progress.advance(1)
        return pixels[: len(good)], good

    def _prepared(self, row: int) -> tuple[ImageFile, np.ndarray | None]:
        file, opened = open_known(self.paths[row], self.roots, self.checksums[row], self.encoder.at_least)
        try:
            return file, self.encoder.prepare(opened.image) if opened else None
        except (OSError, ValueError) as error:
            return ImageFile("broken", str(error), file.checksum), None


def features_of(encoder: Encoder, pixels: torch.Tensor) -> torch.Tensor:
    """Features float32 [n, d] of pixels uint8 [n, h, w, 3] on their device; bfloat16 within, on a GPU."""
    on_gpu = pixels.device.type == "cuda"
    with torch.inference_mode(), torch.autocast(pixels.device.type, torch.bfloat16, enabled=on_gpu):
        # Pixel by pixel, as pictures are decoded, is channels-last already: a view, no copy.
        return encoder.network(pixels.permute(0, 3, 1, 2)).float()


def on_cores(pictures: Pictures, rows: Sequence[int], cores: int = CPUS) -> Iterator[tuple[Batch, np.ndarray]]:
    """Batches and their features, in order; each core works on a batch of its own."""
    encoder = pictures.encoder
    encoder.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def one(some: Sequence[int]) -> tuple[Batch, np.ndarray]:
        batch = pictures.__getitems__(some)
        return batch, features_of(encoder, batch.pixels).numpy() if len(batch.pixels) else np.empty((0, 0), np.float32)

    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[tuple[Batch, np.ndarray]]] = deque()
    try:
        for start in range(0, len(rows), CPU_BATCH):
            waiting.append(pool.submit(one, rows[start : start + CPU_BATCH]))
            if len(waiting) > 4 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def on_device(
    pictures: Pictures, rows: Sequence[int], device: torch.device, workers: int
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Batches and their features, in order; `workers` processes decode while the device computes."""
    encoder = pictures.encoder
    encoder.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    loader: DataLoader[Batch] = DataLoader(
        pictures,  # type: ignore[arg-type]
        batch_sampler=[list(rows[start : start + GPU_BATCH]) for start in range(0, len(rows), GPU_BATCH)],
        num_workers=workers,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        pin_memory=device.type == "cuda",
        multiprocessing_context=processes(__name__) if workers else None,
    )
    before: tuple[Batch, torch.Tensor] | None = None
    for batch in loader:
        if not len(batch.pixels):
            yield batch, np.empty((0, 0), np.float32)
            continue
        features = features_of(encoder, batch.pixels.to(device, non_blocking=True))
        if before:  # fetched only now: the device has its next batch already
            yield before[0], before[1].cpu().numpy()
        before = batch, features
    if before:
        yield before[0], before[1].cpu().numpy()


def _as_it_is(batch: Batch) -> Batch:
    return batch


def decoders(encoder: Encoder, devices: int) -> int:
    """Decoding processes for each device: all cores, as far as shared memory holds three batches of each."""
    disk = os.statvfs("/dev/shm")
    batches = disk.f_bavail * disk.f_frsize // (3 * GPU_BATCH * 3 * int(np.prod(encoder.size)))
    return int(min(CPUS, batches)) // devices


def embed(pictures: Pictures, store: FeatureStore, max_broken: int, devices: int | None = None) -> None:
    """Keep the features of all pictures in the store; stop early once more than `max_broken` cannot be decoded.

    Args:
        pictures: the files.
        store: where features and reasons go.
        max_broken: broken files to go on with.
        devices: GPUs to share the files among; None: all there are, and the processor's cores where there is none.
    """
    gpus = torch.cuda.device_count() if devices is None else devices
    if gpus < 2:
        _embed_rows(pictures, range(len(pictures)), store, max_broken, torch.device("cuda", 0) if gpus else None, 1)
        return
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    fabric = Fabric(accelerator=kind, devices=gpus, strategy="ddp_spawn")
    # As arguments of launch(), dataclasses would be taken apart.
    fabric.launch(partial(_embed_share, pictures=pictures, store=store, max_broken=max_broken))


def _embed_share(fabric: Fabric, pictures: Pictures, store: FeatureStore, max_broken: int) -> None:
    rows = range(fabric.global_rank, len(pictures), fabric.world_size)
    _embed_rows(pictures, rows, store, max_broken, fabric.device, fabric.world_size)


def _embed_rows(
    pictures: Pictures,
    rows: Sequence[int],
    store: FeatureStore,
    max_broken: int,
    device: torch.device | None,
    devices: int,
) -> None:
    results = (
        on_device(pictures, rows, device, decoders(pictures.encoder, devices)) if device else on_cores(pictures, rows)
    )
    files: list[ImageFile] = []
    features: list[np.ndarray] = []
    broken, kept_at = 0, time.monotonic()
    with ProgressReporter(len(rows), f"images, of {devices} devices one" if devices > 1 else "images") as progress:
        for batch, vectors in results:
            files += batch.files
            features += [vectors] if len(vectors) else []
            broken += len(batch.files) - len(batch.pixels)
            if len(files) >= KEEP_IMAGES or time.monotonic() - kept_at > KEEP_SECONDS:
                _keep(store, files, features)
                kept_at = time.monotonic()
            progress.advance(len(batch.files))
            if broken > max_broken:
                break
        _keep(store, files, features)


def _keep(store: FeatureStore, files: list[ImageFile], features: list[np.ndarray]) -> None:
    if files:
        store.keep(files, np.concatenate(features) if features else np.empty((0, 0), np.float32))
    files.clear()
    features.clear()
