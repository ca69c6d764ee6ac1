"""The embedding job's images per second beside its bare encoder's on tensors that are there already."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.contest import measure, publish

MODULE = "benchmarks.embeddings_contestants"


def run(encoder: str, images: int, width: int, height: int, weights_dir: Path | None) -> None:
    """Time job and bare encoder on as many images, one after the other, and publish the result.

    Args:
        encoder: one of torchvision's, or one whose weights are installed.
        images: how many JPEGs are drawn, with noise like a photograph's.
        width: of the JPEGs, in pixels.
        height: the same.
        weights_dir: folder with torchvision's weight files; None: random weights, which are as fast.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        work = Path(folder)
        weights = weights_dir or work / "weights"
        prepare = ["prepare", encoder, str(work), str(images), str(width), str(height), str(weights)]
        subprocess.run([sys.executable, "-m", MODULE, *prepare], check=True)
        results, said = {}, {}
        for name in ("rounds", "decoding"):
            file = work / f"{name}.json"
            results[name] = measure([sys.executable, "-m", MODULE, name, encoder, str(work), str(weights), str(file)])
            said[name] = json.loads(file.read_text())
        size = sum(path.stat().st_size for path in (work / "images").rglob("*.jpg")) // images
    turns, device = said["rounds"], said["rounds"]["device"]
    seconds = {name: median(turns[name]) for name in ("bare", "job")} | {"decoding": said["decoding"]["seconds"]}
    shares = sorted(bare / job for bare, job in zip(turns["bare"], turns["job"], strict=True))
    rates = {name: images / value for name, value in seconds.items()}
    bound = "the encoder" if rates["decoding"] > rates["bare"] else "decoding"
    if device.endswith("cores"):
        both = 1 / (1 / rates["bare"] + 1 / rates["decoding"])
        bound = f"the cores, which decode as well: one after the other both make {both:,.1f} a second"
    note = (
        f"{encoder} on {device}, {images:,} JPEGs of {width} x {height} pixels and {size:,} bytes. In {len(shares)}"
        f" turns the job embeds {rates['job']:,.1f} images a second (median), its bare encoder {rates['bare']:,.1f}"
        f" (the fastest of {turns['ways']}); share {median(shares):.3f}, from {shares[0]:.3f} to {shares[-1]:.3f}."
        f" Decoding alone: {rates['decoding']:,.1f} a second on all cores. What bounds it: {bound}."
        " Seconds are those of the images, from files to kept features: without the start of the process, PCA and"
        " publishing."
        " Bare encoder and job take turns in one process: processor seconds and memory are of all turns together."
    )
    times = {"bare": results["rounds"], "job": results["rounds"], "decoding": results["decoding"]}
    table = {name: replace(times[name], seconds=round(seconds[name], 2)) for name in times}
    publish("embeddings", "make bench-embeddings", table, "bare", note)
