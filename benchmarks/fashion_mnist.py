"""Reconstruction and neighbours on Fashion-MNIST: the autoencoder beside Eigenfaces and raw pixels.

Unlike the other benchmarks this one times nothing: it writes the quality of features to docs/results/similarity.md.
"""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from benchmarks.contest import ROOT, machine
from jobs.embeddings import reduction
from jobs.embeddings.encoders import EIGENFACES
from jobs.embeddings.training import fit
from jobs.similarity.search import nearest
from lightning_modules.autoencoder import AutoencoderImages, AutoencoderModule

PAGE, SECTION = ROOT / "docs" / "results" / "similarity.md", "fashion-mnist"
#: Fashion-MNIST's 28 x 28 pixels get a black frame to be halved three times: 4 x 4 x 4 features.
FRAME, WIDTHS, LATENT = 2, (16, 32, 64), 4
BATCH, LEARNING_RATE = 64, 1e-3
NEIGHBOURS = 10


@dataclass(frozen=True)
class Quality:
    """One method: length of its vectors, mean squared error of what can be rebuilt from them, precision of classes."""

    method: str
    features: int
    error: float
    precision: float


def read_idx(path: Path) -> np.ndarray:
    """An array of unsigned bytes in the IDX format, gzipped, as MNIST and its successors come."""
    content = gzip.decompress(path.read_bytes())
    zeros, kind, dimensions = content[:2], content[2], content[3]
    if zeros != b"\0\0" or kind != 8:
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    shape = np.frombuffer(content, ">u4", dimensions, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def read(data: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [n, 28, 28] and their classes uint8 [n] of `part`, train or t10k."""
    return read_idx(data / f"{part}-images-idx3-ubyte.gz"), read_idx(data / f"{part}-labels-idx1-ubyte.gz")


def error(pictures: np.ndarray, rebuilt: np.ndarray) -> float:
    """Mean squared error of float pictures whose values are from 0 to 1."""
    return float(np.mean((pictures.astype(np.float64) - rebuilt) ** 2))


def precision(neighbours: np.ndarray, known: np.ndarray, asked: np.ndarray) -> float:
    """Share of neighbours [n, k], indices into the classes `known`, that are of the class that was `asked` for [n]."""
    return float((known[neighbours] == asked[:, None]).mean())


def framed(pictures: np.ndarray) -> torch.Tensor:
    """Grey pictures uint8 [n, h, w] as the autoencoder takes them, [n, 3, h + 4, w + 4]."""
    edge = (FRAME, FRAME)
    return torch.from_numpy(np.pad(pictures, ((0, 0), edge, edge)))[:, None].repeat(1, 3, 1, 1)


def trained(pictures: np.ndarray, epochs: int, seed: int) -> AutoencoderModule:
    """An autoencoder that has seen all pictures uint8 [n, h, w] so many times."""
    nothing = torch.zeros(len(pictures), dtype=torch.bool)
    data = AutoencoderImages(framed(pictures), nothing, BATCH, seed)
    pl.seed_everything(seed, verbose=False)
    module = AutoencoderModule(LEARNING_RATE, WIDTHS, LATENT)
    fit(module, data, epochs * len(data.train_dataloader()))
    return module.cpu().eval()


def applied(module: AutoencoderModule, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [n, d] of pictures uint8 [n, h, w], and their reconstructions [n, h, w] from 0 to 1."""
    features, rebuilt = [], []
    with torch.inference_mode():
        for some in framed(pictures).split(1_000):
            maps = module.encoder.maps(some)
            features.append(maps.flatten(1))
            rebuilt.append(module.decoder(maps).sigmoid().mean(1)[:, FRAME:-FRAME, FRAME:-FRAME])
    return torch.cat(features).numpy(), torch.cat(rebuilt).numpy()


def compare(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], epochs: int, seed: int
) -> list[Quality]:
    """All methods fitted on the training pictures and their classes; the test pictures are rebuilt, and look for their
    nearest neighbours (Euclidean) among the training pictures."""
    (seen, known), (unseen, asked) = train, test
    pixels, wanted = (part.reshape(len(part), -1).astype(np.float32) / 255 for part in (seen, unseen))

    def quality(method: str, vectors: np.ndarray, queries: np.ndarray, rebuilt: np.ndarray) -> Quality:
        neighbours, _ = nearest(queries, vectors, NEIGHBOURS, "euclidean")
        off = error(wanted, rebuilt.reshape(wanted.shape))
        return Quality(method, vectors.shape[1], off, precision(neighbours, known, asked))

    pca = reduction.fit(pixels, EIGENFACES)
    faces = pca.apply(wanted, EIGENFACES)
    module = trained(seen, epochs, seed)
    latent, rebuilt = applied(module, unseen)
    return [
        quality("raw pixels", pixels, wanted, wanted),
        quality("Eigenfaces", pca.apply(pixels, EIGENFACES), faces, faces @ pca.components + pca.mean),
        quality("autoencoder", applied(module, seen)[0], latent, rebuilt),
    ]


def section(found: list[Quality], counts: tuple[int, int], epochs: int, seconds: float, command: str) -> str:
    """The generated part of the page."""
    seen, unseen = counts
    rows = [f"| {q.method} | {q.features} | {q.error:.5f} | {q.precision:.4f} |" for q in found]
    return "\n".join(
        [
            f"Fitted on the {seen:,} training images without their classes (the autoencoder in {epochs} epochs). The"
            f" {unseen:,} test images are rebuilt (mean squared error of pixels from 0 to 1), and each looks for its"
            f" {NEIGHBOURS} nearest among the training images: precision is the share that has its class (by chance"
            f" 0.1). Euclidean distance, exact search. Machine: {machine()}; {seconds / 60:.0f} processor minutes."
            f" Command: `{command}`.",
            "",
            f"| method | numbers kept | reconstruction error | precision@{NEIGHBOURS} |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def write_section(page: Path, name: str, text: str) -> None:
    """Put `text` between the page's markers of that name. Raises ValueError when it has none."""
    begin, end = f"<!-- {name}: generated -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page}: no place for {name}; it is between {begin.strip()} and {end}")
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")


def run(data: Path, epochs: int, seed: int) -> None:
    """Compare the methods and write their table."""
    began = time.process_time()
    train, test = read(data, "train"), read(data, "t10k")
    found = compare(train, test, epochs, seed)
    seconds, counts = time.process_time() - began, (len(train[0]), len(test[0]))
    text = section(found, counts, epochs, seconds, f"make bench-fashion-mnist DATA=... EPOCHS={epochs}")
    write_section(PAGE, SECTION, text)
    print(text)
