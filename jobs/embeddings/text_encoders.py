"""The text encoders behind one interface: texts in, vectors of length 1 out.

minilm is the default: MiniLM-L6 (Wang et al. 2020) as trained for sentences by sentence-transformers, whose mean
pooling over tokens is done here. The set-up fetches its weights (scripts/fetch_jars.py).

Any text has a vector: what a vocabulary does not know, such as emoji, becomes its token for the unknown, or is nothing
to tfidf, whose vector may be zero; of a long text the first tokens count.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.platform.errors import JobError

MINILM = "all-minilm-l6-v2"
#: Its files and their SHA-256.
MINILM_FILES = {
    "model.onnx": "ca46f1a88a9c6e61b918af1ab38be3e7903b986616551f0a6f10a7ecc5730cd4",
    "tokenizer.json": "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0",
}
#: Tokens of a text that count: what MiniLM was trained to read.
TOKENS = 256
BATCH = 32
INSTEAD = "or use --text-encoder minilm or tfidf"


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder with its weights.

    Attributes:
        kind: what its vectors are made by, one of text_versions.KINDS.
        weights: SHA-256 of what was loaded.
        dimensions: length of its vectors.
        embed: some texts, best of like length -> float32 [n, dimensions], in their order.
    """

    kind: str
    weights: str
    dimensions: int
    embed: Callable[[list[str]], np.ndarray]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors float32 [n, dimensions] of length 1 (0 where a text says nothing), in batches of like length."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            vectors[rows] = unit(self.embed([texts[row] for row in rows]))
        return vectors


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, d] scaled to length 1, float32; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def mean_pooled(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean [n, d] of the states [n, tokens, d] of each text's own tokens, by its mask [n, tokens]."""
    return (states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)


def minilm(weights_dir: Path | None, threads: int = 0) -> TextEncoder:
    """MiniLM by onnxruntime, from `all-minilm-l6-v2` below `weights_dir`, else where the set-up put it.

    Args:
        weights_dir: a folder of weights, which need not hold MiniLM's; None: the environment's.
        threads: cores to use; 0: all.

    Raises:
        JobError: a file is missing or is not what its SHA-256 says.
    """
    import onnxruntime
    from tokenizers import Tokenizer

    files = _minilm_files(weights_dir)
    tokenizer = Tokenizer.from_file(str(files["tokenizer.json"]))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding()  # to the longest of a batch, not to a fixed length
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(files["model.onnx"]), options, providers=["CPUExecutionProvider"])

    def embed(texts: list[str]) -> np.ndarray:
        tokens = tokenizer.encode_batch(texts)
        ids = np.array([text.ids for text in tokens], np.int64)
        mask = np.array([text.attention_mask for text in tokens], np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return mean_pooled(session.run(None, inputs)[0], mask)

    dimensions = session.get_outputs()[0].shape[-1]
    return TextEncoder("minilm-l6-v2", MINILM_FILES["model.onnx"], dimensions, embed)


def _minilm_files(weights_dir: Path | None) -> dict[str, Path]:
    own = None if weights_dir is None else weights_dir / MINILM
    folder = own if own is not None and own.is_dir() else Path(sys.prefix, "models", MINILM)
    files = {name: folder / name for name in MINILM_FILES}
    for name, file in files.items():
        if not file.is_file():
            raise JobError(f"{file}: no such file; run scripts/setup.sh jobs, which fetches it")
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != MINILM_FILES[name]:
            raise JobError(
                f"{file}: damaged: its SHA-256 is {found[:8]}..., not {MINILM_FILES[name][:8]}...; remove it and run"
                " scripts/setup.sh jobs, which fetches it again"
            )
    return files
