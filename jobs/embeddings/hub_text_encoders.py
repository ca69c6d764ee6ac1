"""Text encoders that load from the Hugging Face hub, or from a folder of the same name below --weights-dir.

Fashion-CLIP and ALIGN are the text halves of models whose image halves jobs/embeddings/encoders.py has: one space.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from jobs.embeddings.align import ALIGN
from jobs.embeddings.encoders import FASHION_CLIP, tensors_checksum
from jobs.embeddings.text_encoders import INSTEAD, TOKENS, TextEncoder, mean_pooled
from jobs.embeddings.text_versions import KINDS
from jobs.platform.errors import JobError

#: A RoBERTa (Liu et al. 2019; distilled) trained for sentences.
ROBERTA = "sentence-transformers/all-distilroberta-v1"
ALIGN_TOKENS = 64


def roberta(weights_dir: Path | None) -> TextEncoder:
    """RoBERTa, mean of its last states; raises JobError when it cannot be had."""
    from transformers import AutoModel

    name = source(ROBERTA, weights_dir)
    tokenizer, model = _pretrained(name, ROBERTA, AutoModel)
    most = min(TOKENS, model.config.max_position_embeddings - 2)  # RoBERTa counts positions from 2

    def embed(texts: list[str]) -> np.ndarray:
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            states = model(**tokens).last_hidden_state
        return mean_pooled(states.numpy(), tokens["attention_mask"].numpy())

    return TextEncoder(KINDS["roberta"], tensors_checksum(model.state_dict()), model.config.hidden_size, embed)


def align(weights_dir: Path | None) -> TextEncoder:
    """ALIGN's text tower and projection; raises JobError when it cannot be had."""
    from transformers import AlignModel

    name = source(ALIGN, weights_dir)
    tokenizer, model = _pretrained(name, ALIGN, AlignModel)
    most = min(ALIGN_TOKENS, model.config.text_config.max_position_embeddings)

    def embed(texts: list[str]) -> np.ndarray:
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            found = model.text_model(**tokens).last_hidden_state[:, 0]
            return model.text_projection(found).numpy()

    tower = {**model.text_model.state_dict(), **model.text_projection.state_dict(prefix="projection.")}
    return TextEncoder(KINDS["align"], tensors_checksum(tower), model.config.projection_dim, embed)


def fashion_clip(weights_dir: Path | None) -> TextEncoder:
    """Fashion-CLIP's text tower, by open_clip as its image tower; raises JobError when it cannot be had."""
    import open_clip

    name = source(FASHION_CLIP, weights_dir)
    name = f"local-dir:{name}" if weights_dir else f"hf-hub:{name}"
    try:
        model, _ = open_clip.create_model_from_pretrained(name)
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # whatever the hub's client, its files and PyTorch raise
        raise _absent(name, FASHION_CLIP, error) from error
    model.eval().visual = None  # half of the memory

    def embed(texts: list[str]) -> np.ndarray:
        with torch.inference_mode():
            return model.encode_text(tokenizer(texts)).float().numpy()

    dimensions = embed(["dress"]).shape[1]
    return TextEncoder(KINDS["fashion_clip"], tensors_checksum(model.state_dict()), dimensions, embed)


def source(model: str, weights_dir: Path | None) -> str:
    """Where a model is loaded from: the hub, or the folder of its name below `weights_dir`."""
    if weights_dir is None:
        return model
    folder = weights_dir / Path(model).name
    if not folder.is_dir():
        raise JobError(f"{folder}: no such folder; put the files of {model} there, {INSTEAD}")
    return str(folder)


def _pretrained(name: str, model: str, kind: Any) -> tuple[Any, Any]:
    """Tokenizer and network in evaluation mode, every tensor that is used loaded."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        network, loaded = kind.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    except Exception as error:  # whatever the hub's client, its files and PyTorch raise
        raise _absent(name, model, error) from error
    if missing := sorted(key for key in loaded["missing_keys"] if not key.startswith("pooler.")):
        # The loader would draw them at random.
        raise _absent(name, model, ValueError(f"{len(missing)} tensors are missing, such as {missing[0]}"))
    return tokenizer, network.eval()


def _absent(name: str, model: str, error: Exception) -> JobError:
    words = str(error).strip().splitlines() or [type(error).__name__]
    return JobError(
        f"{name} cannot be loaded ({words[0]}); put the files of {model} into a folder of that name below"
        f" --weights-dir, {INSTEAD}"
    )
